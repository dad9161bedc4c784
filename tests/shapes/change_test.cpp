#include "e5v/shapes/change.h"

#include <gmock/gmock.h>

#include <map>

#include "e5v/shapes/wording.h"
#include "tests/shapes/words.h"

namespace e5v::detail {
namespace {

const SceneObject kSmallRedCircle{0, 0, 0}, kLargeBlueSquare{1, 2, 1};

/// Attributes that differ between objects at the same place.
int num_differences(const Scene& a, const Scene& b) {
  int count = (a.background != b.background) + (a.arrangement != b.arrangement);
  for (size_t i = 0; i < a.objects.size(); ++i) {
    const SceneObject &one = a.objects[i], &other = b.objects[i];
    count += (one.size != other.size) + (one.color != other.color) + (one.shape != other.shape);
  }
  return count;
}

TEST(ChangeTest, ExchangesOfTwoDifferentObjectsAreFour) {
  const Scene scene{0, Arrangement::kRow, {kSmallRedCircle, kLargeBlueSquare}};
  const std::vector<Scene> exchanged = exchanged_scenes(scene);
  EXPECT_EQ(exchanged.size(), 4u);
  EXPECT_THAT(exchanged, testing::Contains(Scene{0, Arrangement::kRow, {{1, 0, 0}, {0, 2, 1}}}));
  EXPECT_THAT(exchanged, testing::Contains(Scene{0, Arrangement::kRow, {{0, 2, 0}, {1, 0, 1}}}));
  EXPECT_THAT(exchanged, testing::Contains(Scene{0, Arrangement::kRow, {{0, 0, 1}, {1, 2, 0}}}));
  EXPECT_THAT(exchanged,
              testing::Contains(Scene{0, Arrangement::kRow, {kLargeBlueSquare, kSmallRedCircle}}));
  EXPECT_THAT(exchanged_scenes({0, Arrangement::kRow, {kSmallRedCircle}}), testing::IsEmpty());
}

TEST(ChangeTest, ANeighborIsAnotherSceneOfTheSplitOneStepAway) {
  SplitMix64 random(1);
  for (const SceneSplit split : {SceneSplit::kTrain, SceneSplit::kTest}) {
    for (int i = 0; i < 500; ++i) {
      const Scene scene = random_scene(random, split);
      const std::optional<Scene> neighbor = random_neighbor(scene, split, random);
      if (!neighbor) continue;
      EXPECT_TRUE(is_valid(*neighbor));
      EXPECT_EQ(split_of(*neighbor), split);
      ASSERT_EQ(neighbor->objects.size(), scene.objects.size());
      const int differences = num_differences(scene, *neighbor);
      EXPECT_GE(differences, 1);
      EXPECT_TRUE(differences == 1 ||
                  bag_of_words(caption(scene, {})) == bag_of_words(caption(*neighbor, {})));
    }
  }
}

TEST(ChangeTest, AnEditChangesWhatItSaysAndNothingElse) {
  SplitMix64 random(2);
  std::map<EditKind, int> counts;
  for (int i = 0; i < 4000; ++i) {
    const Scene scene = random_scene(random, SceneSplit::kTrain);
    const auto kind = static_cast<EditKind>(random.below(7));
    const std::optional<Edit> edit = random_edit(scene, kind, SceneSplit::kTrain, random);
    if (!edit) continue;
    ++counts[kind];
    const Scene& target = edit->target;
    EXPECT_EQ(edit->kind, kind);
    EXPECT_TRUE(is_valid(target));
    EXPECT_EQ(split_of(target), SceneSplit::kTrain);
    const auto before = scene.objects.size(), after = target.objects.size();
    switch (kind) {
      case EditKind::kColor:
      case EditKind::kShape:
      case EditKind::kSize:
        ASSERT_EQ(after, before);
        EXPECT_EQ(num_differences(scene, target), 1);
        EXPECT_EQ(target.background, scene.background);
        break;
      case EditKind::kBackground:
        EXPECT_EQ(target.objects, scene.objects);
        EXPECT_THAT(edit->instruction,
                    testing::HasSubstr(std::string(background_word(target.background))));
        break;
      case EditKind::kSwap:
        ASSERT_EQ(after, before);
        EXPECT_THAT(target.objects, testing::UnorderedElementsAreArray(scene.objects));
        break;
      case EditKind::kRemove:
        EXPECT_EQ(after, before - 1);
        break;
      case EditKind::kAdd:
        EXPECT_EQ(after, before + 1);
        EXPECT_EQ(target.arrangement, scene.arrangement);
        break;
    }
  }
  EXPECT_EQ(counts.size(), 7u);
  for (const auto& [kind, count] : counts) EXPECT_GT(count, 100) << static_cast<int>(kind);
}

TEST(ChangeTest, WhatCannotBeDoneGivesNoEdit) {
  SplitMix64 random(3);
  const Scene one{0, Arrangement::kRow, {kSmallRedCircle}};
  for (const EditKind kind : {EditKind::kSwap, EditKind::kRemove, EditKind::kAdd}) {
    EXPECT_EQ(random_edit(one, kind, SceneSplit::kTrain, random), std::nullopt);
  }
}

}  // namespace
}  // namespace e5v::detail
