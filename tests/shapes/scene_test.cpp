#include "e5v/shapes/scene.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "e5v/shapes/change.h"

namespace e5v::detail {
namespace {

TEST(SceneTest, ValidScenesHaveOneToThreeObjectsThatDiffer) {
  const SceneObject red_circle{0, 0, 0}, large_red_circle{1, 0, 0}, red_square{0, 0, 1};
  EXPECT_TRUE(is_valid({0, Arrangement::kRow, {red_circle}}));
  EXPECT_TRUE(is_valid({0, Arrangement::kColumn, {red_circle, red_square}}));
  EXPECT_FALSE(is_valid({0, Arrangement::kRow, {}}));
  EXPECT_FALSE(is_valid({0, Arrangement::kColumn, {red_circle}}));
  EXPECT_FALSE(is_valid({0, Arrangement::kRow, {red_circle, large_red_circle}}));
}

TEST(SceneTest, EqualKeysMeanEqualScenes) {
  SplitMix64 random(1);
  std::map<uint64_t, Scene> seen;
  for (int i = 0; i < 20000; ++i) {
    const Scene scene = random_scene(random, SceneSplit::kTrain);
    const auto [found, is_new] = seen.emplace(scene_key(scene), scene);
    if (!is_new) {
      EXPECT_TRUE(found->second == scene);
    }
  }
}

TEST(SceneTest, ATenthOfTheScenesIsHeldOutForEachEvaluation) {
  SplitMix64 random(2);
  std::map<SceneSplit, int> counts;
  for (int i = 0; i < 20000; ++i) {
    Scene scene{static_cast<int>(random.below(3)), Arrangement::kRow, {}};
    while (!is_valid(scene)) {
      scene.objects = {random_object(random), random_object(random), random_object(random)};
    }
    ++counts[split_of(scene)];
  }
  EXPECT_NEAR(counts[SceneSplit::kTrain], 16000, 250);
  EXPECT_NEAR(counts[SceneSplit::kVal], 2000, 200);
  EXPECT_NEAR(counts[SceneSplit::kTest], 2000, 200);
}

TEST(SceneTest, ScenesOfTheSameWordsAreInTheSameSplit) {
  SplitMix64 random(3);
  for (const SceneSplit split : {SceneSplit::kTrain, SceneSplit::kVal, SceneSplit::kTest}) {
    for (int i = 0; i < 300; ++i) {
      const Scene scene = random_scene(random, split);
      ASSERT_EQ(split_of(scene), split);
      for (const Scene& exchanged : exchanged_scenes(scene)) EXPECT_EQ(split_of(exchanged), split);
    }
  }
}

TEST(SceneTest, RandomScenesHaveTheStatedShares) {
  SplitMix64 random(4);
  std::map<size_t, int> objects;
  std::map<int, int> colors, shapes, backgrounds;
  int num_columns = 0;
  for (int i = 0; i < 20000; ++i) {
    const Scene scene = random_scene(random, SceneSplit::kTrain);
    ++objects[scene.objects.size()];
    ++backgrounds[scene.background];
    num_columns += scene.arrangement == Arrangement::kColumn ? 1 : 0;
    ++colors[scene.objects[0].color];
    ++shapes[scene.objects[0].shape];
  }
  EXPECT_NEAR(objects[1], 2000, 250);
  EXPECT_NEAR(objects[2], 9000, 400);
  EXPECT_NEAR(objects[3], 9000, 400);
  EXPECT_NEAR(num_columns, 9000, 400);
  for (const auto& [color, count] : colors) EXPECT_NEAR(count, 2500, 300) << color;
  for (const auto& [shape, count] : shapes) EXPECT_NEAR(count, 3333, 350) << shape;
  EXPECT_EQ(backgrounds.size(), 3u);
}

TEST(SceneTest, TheLeastNumberOfObjectsIsKept) {
  SplitMix64 random(5);
  for (int i = 0; i < 200; ++i) {
    EXPECT_GE(random_scene(random, SceneSplit::kVal, 2).objects.size(), 2u);
  }
}

}  // namespace
}  // namespace e5v::detail
