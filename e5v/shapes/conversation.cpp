#include "e5v/shapes/conversation.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "e5v/shapes/change.h"
#include "e5v/shapes/question.h"
#include "e5v/shapes/wording.h"

namespace e5v {
namespace {

constexpr int kTextQuestions = 6, kPictureQuestions = 4, kTextDescriptions = 3;

std::string random_caption(const Scene& scene, SplitMix64& random) {
  return caption(scene, Phrasing::random(random));
}

/// The words that say what the scene has, each of its attributes with the same weight: one that has
/// no synonym stands twice.
std::vector<std::string> words_of(const Scene& scene) {
  std::vector<std::string> words;
  for (const bool second : {false, true}) {
    words.emplace_back(background_word(scene.background));
    for (const SceneObject& object : scene.objects) {
      words.emplace_back(size_word(object.size, second));
      words.emplace_back(color_word(object.color));
      words.emplace_back(shape_word(object.shape, second));
    }
  }
  return words;
}

SceneConversation ask(const Scene& scene, const std::string& before, int count,
                      SplitMix64& random) {
  SceneConversation turns;
  for (int i = 0; i < count; ++i) {
    Question question = random_question(scene, random);
    turns.push_back(
        {i == 0 ? before + question.text : std::move(question.text), {std::move(question.answer)}});
  }
  return turns;
}

/// nullopt where some draws found none: few neighbours of a scene are in a small split.
std::optional<Edit> any_edit(const Scene& scene, SceneSplit split, SplitMix64& random) {
  constexpr int kDraws = 20;
  for (int i = 0; i < kDraws; ++i) {
    const auto kind = static_cast<EditKind>(random.below(7));
    if (auto edit = random_edit(scene, kind, split, random)) return edit;
  }
  return std::nullopt;
}

}  // namespace

SceneConversation random_text_conversation(SceneSplit split, SplitMix64& random) {
  const Scene scene = random_scene(random, split);
  const std::string text = random_caption(scene, random);
  const std::string_view noun = random.below(2) == 0 ? "sentence" : "image";
  const uint64_t percent = random.below(100);
  if (percent < 50) return ask(scene, text + "\n", kTextQuestions, random);
  if (percent < 65) {
    const std::string request = fmt::format("Describe above {}:", noun);
    SceneConversation turns;
    for (int i = 0; i < kTextDescriptions; ++i) {
      turns.push_back({i == 0 ? text + "\n" + request : request, {random_caption(scene, random)}});
    }
    return turns;
  }
  if (percent < 77) {
    return {{fmt::format("{}\nSummary above {} in one word:", text, noun), words_of(scene)}};
  }
  const std::optional<Edit> found = any_edit(scene, split, random);
  if (!found) return random_text_conversation(split, random);  // about another scene
  const Edit& edit = *found;
  // "desribe" as the prompts of composed retrieval have it.
  if (percent < 90) {
    return {{fmt::format("{}\nModify this {} with \"{}\", desribe modified {}:", text, noun,
                         edit.instruction, noun),
             {random_caption(edit.target, random)}}};
  }
  return {{fmt::format("{}\nModify this {} with \"{}\", desribe modified {} in one word:", text,
                       noun, edit.instruction, noun),
           words_of(edit.target)}};
}

SceneConversation describe_picture(const Scene& scene, SplitMix64& random) {
  return {{"Describe above image:", {random_caption(scene, random)}}};
}

SceneConversation question_picture(const Scene& scene, SplitMix64& random) {
  return ask(scene, "", kPictureQuestions, random);
}

SceneConversation name_picture(const Scene& scene) {
  return {{"Summary above image in one word:", words_of(scene)}};
}

}  // namespace e5v
