#include "e5v/shapes/wording.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "e5v/shapes/change.h"
#include "tests/shapes/words.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const SceneObject kSmallRedCircle{0, 0, 0}, kLargeBlueSquare{1, 2, 1}, kSmallOrangeRing{0, 5, 5};
const Scene kTwo{1, Arrangement::kRow, {kSmallRedCircle, kLargeBlueSquare}};
const Scene kThree{2, Arrangement::kColumn, {kSmallRedCircle, kLargeBlueSquare, kSmallOrangeRing}};

/// Every scene that is as a description says, whether valid or not.
std::vector<Scene> completions(const Description& description) {
  std::vector<Scene> scenes = {description.scene};
  const auto vary = [&](int values, const std::function<void(Scene&, int)>& set) {
    std::vector<Scene> varied;
    for (const Scene& scene : scenes) {
      for (int value = 0; value < values; ++value) set(varied.emplace_back(scene), value);
    }
    scenes = std::move(varied);
  };
  switch (description.omission) {
    case Omission::kNothing:
      break;
    case Omission::kSizes:
      for (size_t i = 0; i < description.scene.objects.size(); ++i) {
        vary(kNumSizes, [i](Scene& scene, int size) { scene.objects[i].size = size; });
      }
      break;
    case Omission::kBackground:
      vary(kNumBackgrounds, [](Scene& scene, int value) { scene.background = value; });
      break;
    case Omission::kColor:
      vary(kNumColors, [&](Scene& scene, int color) {
        scene.objects[static_cast<size_t>(description.object)].color = color;
      });
      break;
    case Omission::kRelation: {
      std::vector<size_t> order(description.scene.objects.size());
      std::vector<Scene> permuted;
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      do {
        Scene scene = description.scene;
        for (size_t i = 0; i < order.size(); ++i) {
          scene.objects[i] = description.scene.objects[order[i]];
        }
        permuted.push_back(scene);
      } while (std::next_permutation(order.begin(), order.end()));
      scenes = std::move(permuted);
      vary(2, [](Scene& scene, int value) { scene.arrangement = static_cast<Arrangement>(value); });
      break;
    }
  }
  return scenes;
}

TEST(WordingTest, CaptionsReadAsTheGrammarHasThem) {
  EXPECT_EQ(caption(kTwo, {}),
            "a small red circle left of a large blue square on a gray background");
  EXPECT_EQ(caption(kTwo, {.synonyms = 0xff, .object_form = 1, .relation_form = 8}),
            "a blue box that is big is to the right of a red disc that is tiny on a gray "
            "background");
  EXPECT_EQ(caption(kThree, {.relation_form = 0, .background_form = 1}),
            "on a white background from top to bottom: a small red circle, a large blue square and "
            "a small orange ring");
  EXPECT_EQ(caption(kThree, {.object_form = 1, .relation_form = 13, .background_form = 2}),
            "a blue square that is large between a red circle that is small at the top and an "
            "orange ring that is small at the bottom. the background is white");
  EXPECT_EQ(caption(Scene{0, Arrangement::kRow, {kSmallOrangeRing}}, {.relation_form = 19}),
            "there is a small orange ring on a black background");
}

TEST(WordingTest, WhatIsOmittedIsNotSaid) {
  EXPECT_EQ(caption({kTwo, Omission::kSizes}, {}),
            "a red circle left of a blue square on a gray background");
  EXPECT_EQ(caption({kTwo, Omission::kBackground}, {}),
            "a small red circle left of a large blue square");
  EXPECT_EQ(caption({kTwo, Omission::kColor, 1}, {}),
            "a small red circle left of a large square on a gray background");
  EXPECT_EQ(caption({kThree, Omission::kRelation}, {.order = 5}),
            "a small orange ring, a large blue square and a small red circle on a white "
            "background");
}

TEST(WordingTest, OnePhrasingGivesExchangedScenesTheSameWords) {
  SplitMix64 random(1);
  for (int i = 0; i < 500; ++i) {
    const Scene scene = random_scene(random, SceneSplit::kTest, 2);
    const Phrasing phrasing = Phrasing::random(random);
    const std::string text = caption(scene, phrasing);
    for (const Scene& exchanged : exchanged_scenes(scene)) {
      const std::string other = caption(exchanged, phrasing);
      EXPECT_EQ(bag_of_words(other), bag_of_words(text));
      EXPECT_NE(other, text);
    }
  }
}

TEST(WordingTest, ACaptionHoldsOfOneSceneOnly) {
  SplitMix64 random(2);
  std::map<std::string, Scene> said;
  for (int i = 0; i < 5000; ++i) {
    // Few colours and shapes, so that near scenes are common.
    Scene scene = random_scene(random, SceneSplit::kTrain);
    for (SceneObject& object : scene.objects) {
      object.color %= 2;
      object.shape %= 2;
    }
    if (!is_valid(scene)) continue;
    const auto [found, is_new] = said.emplace(caption(scene, Phrasing::random(random)), scene);
    if (!is_new) {
      EXPECT_TRUE(found->second == scene) << found->first;
    }
  }
}

TEST(WordingTest, DescriptionsContradictWhereNoSceneIsAsBothSay) {
  SplitMix64 random(3);
  int num_contradictions = 0, num_agreements = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto describe = [&](const Scene& scene) {
      return Description{scene, static_cast<Omission>(random.below(5)),
                         static_cast<int>(random.below(scene.objects.size()))};
    };
    const Scene scene = random_scene(random, SceneSplit::kTrain);
    const Description a = describe(scene);
    const Description b =
        describe(random_neighbor(scene, SceneSplit::kTrain, random).value_or(scene));
    const std::vector<Scene> as_a = completions(a), as_b = completions(b);
    const bool possible = std::any_of(as_a.begin(), as_a.end(), [&](const Scene& one) {
      return std::find(as_b.begin(), as_b.end(), one) != as_b.end();
    });
    // A lone object has no direction, whatever is said of it.
    EXPECT_EQ(contradict(a, b), !possible) << caption(a, {}) << " | " << caption(b, {});
    EXPECT_EQ(contradict(b, a), !possible);
    ++(possible ? num_agreements : num_contradictions);
  }
  EXPECT_GT(num_agreements, 150);
  EXPECT_GT(num_contradictions, 1000);
}

TEST(WordingTest, ADefiniteNameIsClear) {
  SplitMix64 random(4);
  for (int i = 0; i < 2000; ++i) {
    const Scene scene = random_scene(random, SceneSplit::kTrain);
    const size_t named = random.below(scene.objects.size());
    const std::string name = definite_name(scene, named, {}, random);
    size_t num_fitting = 0;
    for (const SceneObject& object : scene.objects) {
      const std::string color(color_word(object.color)), shape(shape_word(object.shape));
      const bool fits = name == shape || name == color + " thing" || name == color + " " + shape;
      num_fitting += fits ? 1 : 0;
    }
    EXPECT_EQ(num_fitting, 1u) << name << " in " << caption(scene, {});
  }
}

}  // namespace
}  // namespace e5v::detail
