#include "e5v/shapes/draw_scene.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <set>
#include <vector>

namespace e5v::detail {
namespace {

uint64_t digest(const Image& image) {
  uint64_t value = 0;
  for (const uint8_t byte : image.rgb) value = mix64(value ^ byte);
  return value;
}

/// Pixels that are nearer to `rgb` than `distance` in every channel.
int64_t count_near(const Image& image, const std::array<int, 3>& rgb, int distance) {
  int64_t count = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    bool near = true;
    for (size_t c = 0; c < 3; ++c) near = near && std::abs(image.rgb[i + c] - rgb[c]) < distance;
    count += near ? 1 : 0;
  }
  return count;
}

TEST(DrawSceneTest, PixelsAreTheSameOnEveryMachine) {
  uint64_t all = 0;
  SplitMix64 random(7);
  for (int i = 0; i < 20; ++i) {
    all = mix64(all ^ digest(draw_scene(random_scene(random, SceneSplit::kTest), 48, random)));
  }
  EXPECT_EQ(all, UINT64_C(8115635559418597296));
}

TEST(DrawSceneTest, TwoDrawingsOfASceneDifferInPlaceAndNoise) {
  const Scene scene{0, Arrangement::kRow, {{0, 0, 0}, {1, 2, 1}}};
  SplitMix64 random(1);
  std::set<uint64_t> digests;
  for (int i = 0; i < 10; ++i) digests.insert(digest(draw_scene(scene, 48, random)));
  EXPECT_EQ(digests.size(), 10u);
}

TEST(DrawSceneTest, AllThatTheSceneHasIsThere) {
  // A green circle left of a large red square, on black.
  const Scene scene{0, Arrangement::kRow, {{0, 1, 0}, {1, 0, 1}}};
  SplitMix64 random(2);
  for (int i = 0; i < 20; ++i) {
    const Image image = draw_scene(scene, 48, random);
    const int64_t black = count_near(image, {15, 15, 15}, 60);
    const int64_t green = count_near(image, {31, 168, 46}, 60);
    const int64_t red = count_near(image, {224, 31, 31}, 60);
    EXPECT_GT(black, 48 * 48 * 80 / 100);
    EXPECT_NEAR(static_cast<double>(green), M_PI * 4.1 * 4.1, 15);
    EXPECT_NEAR(static_cast<double>(red), 4 * 5.9 * 5.9, 35);
    // The green one's pixels are all left of the red one's.
    int64_t last_green = 0, first_red = 48;
    for (int64_t y = 0; y < 48; ++y) {
      for (int64_t x = 0; x < 48; ++x) {
        const uint8_t* pixel = image.row(y) + 3 * x;
        if (pixel[1] > 100 && pixel[0] < 100) last_green = std::max(last_green, x);
        if (pixel[0] > 120 && pixel[1] < 90) first_red = std::min(first_red, x);
      }
    }
    EXPECT_LT(last_green, first_red);
  }
}

TEST(DrawSceneTest, ShapesLookDifferent) {
  std::vector<Image> images;
  for (int shape = 0; shape < kNumShapes; ++shape) {
    SplitMix64 random(3);  // the same place and noise
    images.push_back(draw_scene({0, Arrangement::kRow, {{1, 3, shape}}}, 48, random));
    for (int other = 0; other < shape; ++other) {
      const Image &one = images.back(), &two = images[static_cast<size_t>(other)];
      int num_different = 0;
      for (size_t i = 0; i < one.rgb.size(); i += 3) {
        num_different += std::abs(one.rgb[i] - two.rgb[i]) > 100 ? 1 : 0;
      }
      EXPECT_GT(num_different, 8) << shape << " and " << other;
    }
  }
}

TEST(DrawSceneTest, ALargerPictureShowsTheSameFields) {
  const Scene scene{2, Arrangement::kColumn, {{1, 4, 3}, {0, 6, 5}, {1, 0, 4}}};
  SplitMix64 small_random(4), large_random(4);
  const Image small = draw_scene(scene, 24, small_random);
  const Image large = draw_scene(scene, 240, large_random);
  EXPECT_EQ(large.size(), (ImageSize{240, 240}));
  const double ratio = static_cast<double>(count_near(large, {133, 31, 168}, 60)) /
                       static_cast<double>(count_near(small, {133, 31, 168}, 60));
  EXPECT_NEAR(ratio, 100, 50);
}

}  // namespace
}  // namespace e5v::detail
