#include "e5v/shapes/question.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "e5v/shapes/wording.h"

namespace e5v::detail {
namespace {

/// Objects that a definite name fits, by any of the shape's words.
std::vector<size_t> named(const Scene& scene, const std::string& name) {
  std::vector<size_t> found;
  for (size_t i = 0; i < scene.objects.size(); ++i) {
    const SceneObject& object = scene.objects[i];
    const std::string color(color_word(object.color));
    for (const bool second : {false, true}) {
      const std::string shape(shape_word(object.shape, second));
      if (name == shape || name == color + " " + shape) found.push_back(i);
    }
    if (name == color + " thing") found.push_back(i);
  }
  return found;
}

/// What stands between two pieces of a text; empty where they do not.
std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const size_t begin = text.find(before);
  if (begin == text.npos) return "";
  const size_t end = text.find(after, begin + before.size());
  if (end == text.npos) return "";
  return text.substr(begin + before.size(), end - begin - before.size());
}

std::string color_and_shape(const SceneObject& object) {
  return std::string(color_word(object.color)) + " " + std::string(shape_word(object.shape));
}

TEST(QuestionTest, AnswersAreTrueOfTheScene) {
  SplitMix64 random(1);
  std::map<QuestionKind, int> counts;
  for (int i = 0; i < 5000; ++i) {
    const Scene scene = random_scene(random, SceneSplit::kTrain);
    const Question question = random_question(scene, random);
    ++counts[question.kind];
    SCOPED_TRACE(caption(scene, {}) + " | " + question.text + " " + question.answer);
    const auto& objects = scene.objects;
    const auto only = [&](const std::string& name) -> const SceneObject& {
      const std::vector<size_t> found = named(scene, name);
      EXPECT_EQ(found.size(), 1u) << name;
      return objects[found.empty() ? 0 : found[0]];
    };
    switch (question.kind) {
      case QuestionKind::kColor:
        EXPECT_EQ(question.answer, color_word(only(between(question.text, "is the ", "?")).color));
        break;
      case QuestionKind::kShape:
        EXPECT_EQ(question.answer, shape_word(only(between(question.text, "is the ", "?")).shape));
        break;
      case QuestionKind::kSize:
        EXPECT_EQ(question.answer, size_word(only(between(question.text, "is the ", "?")).size));
        break;
      case QuestionKind::kNeighbor: {
        const bool row = scene.arrangement == Arrangement::kRow;
        const bool asks_before = question.text.find(row ? "left of" : "above") != std::string::npos;
        const auto place =
            static_cast<size_t>(&only(between(question.text, " the ", "?")) - objects.data());
        ASSERT_LT(asks_before ? place - 1 : place + 1, objects.size());
        EXPECT_EQ(question.answer, color_and_shape(objects[asks_before ? place - 1 : place + 1]));
        break;
      }
      case QuestionKind::kPlace: {
        const bool first = question.text.find("left") != std::string::npos ||
                           question.text.find("top") != std::string::npos;
        const bool middle = question.text.find("middle") != std::string::npos;
        const SceneObject& object = middle  ? objects.at(1)
                                    : first ? objects.front()
                                            : objects.back();
        EXPECT_THAT(" " + color_and_shape(object) + " ", testing::HasSubstr(question.answer));
        break;
      }
      case QuestionKind::kRelation: {
        bool holds = false;
        const struct {
          const char* relation;
          Arrangement arrangement;
          bool asks_before;
        } kRelations[] = {{" left of the ", Arrangement::kRow, true},
                          {" right of the ", Arrangement::kRow, false},
                          {" above the ", Arrangement::kColumn, true},
                          {" below the ", Arrangement::kColumn, false}};
        for (const auto& [relation, arrangement, asks_before] : kRelations) {
          const std::string one = between(question.text, "is the ", relation);
          if (one.empty()) continue;
          const bool order = &only(one) < &only(between(question.text, relation, "?"));
          holds = scene.arrangement == arrangement && order == asks_before;
        }
        EXPECT_EQ(question.answer, holds ? "yes" : "no");
        break;
      }
      case QuestionKind::kExists: {
        std::string name = between(question.text, "is there a", "?");
        name = name.substr(name.find(' ') + 1);
        EXPECT_EQ(question.answer, named(scene, name).empty() ? "no" : "yes");
        break;
      }
      case QuestionKind::kCount:
        EXPECT_EQ(question.answer, (std::array{"one", "two", "three"}[objects.size() - 1]));
        break;
      case QuestionKind::kBackground:
        EXPECT_EQ(question.answer, background_word(scene.background));
        break;
      case QuestionKind::kArrangement:
        EXPECT_EQ(question.answer, scene.arrangement == Arrangement::kRow ? "row" : "column");
        break;
    }
  }
  EXPECT_EQ(counts.size(), static_cast<size_t>(kNumQuestionKinds));
  for (const auto& [kind, count] : counts) EXPECT_GT(count, 100) << static_cast<int>(kind);
}

TEST(QuestionTest, YesAndNoAreAboutAsFrequent) {
  SplitMix64 random(2);
  std::map<std::string, int> answers;
  for (int i = 0; i < 8000; ++i) {
    const Question question = random_question(random_scene(random, SceneSplit::kTrain), random);
    if (question.kind == QuestionKind::kRelation || question.kind == QuestionKind::kExists) {
      ++answers[question.answer];
    }
  }
  EXPECT_EQ(answers.size(), 2u);
  const double share =
      static_cast<double>(answers["yes"]) / static_cast<double>(answers["yes"] + answers["no"]);
  EXPECT_NEAR(share, 0.5, 0.08);
}

}  // namespace
}  // namespace e5v::detail
