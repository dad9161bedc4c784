#include "e5v/nn/rotary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;

TEST(MultimodalRopeTest, SectionsFollowEachOtherOrTakeTurns) {
  EXPECT_THAT((MultimodalRope{{2, 3, 1}, false}.axes()), ElementsAre(0, 0, 1, 1, 1, 2));
  EXPECT_THAT((MultimodalRope{{2, 2, 2}, true}.axes()), ElementsAre(0, 1, 2, 0, 1, 2));
  // What is left over is the first axis's.
  EXPECT_THAT((MultimodalRope{{5, 2, 1}, true}.axes()), ElementsAre(0, 1, 2, 0, 1, 0, 0, 0));
  // Qwen3-VL: THW twenty times, then TTTT.
  const std::vector<int64_t> axes = MultimodalRope{{24, 20, 20}, true}.axes();
  ASSERT_EQ(axes.size(), 64);
  for (size_t j = 0; j < 64; ++j) EXPECT_EQ(axes[j], j < 60 ? static_cast<int64_t>(j % 3) : 0) << j;
}

TEST(MultimodalRopeTest, EachFrequencyIsTurnedByThePositionOnItsAxis) {
  const RotaryEmbedding plain(16, 100, std::nullopt);
  const RotaryEmbedding rotary(16, 100, std::nullopt, MultimodalRope{{4, 2, 2}, true});
  const at::Tensor positions = at::tensor({3, 7, 5, 9, 4, 11}, at::kLong).view({3, 2});
  const auto tables = rotary.tables(positions);
  const std::vector<int64_t> axes = MultimodalRope{{4, 2, 2}, true}.axes();
  for (int64_t token = 0; token < 2; ++token) {
    for (int64_t j = 0; j < 8; ++j) {
      const auto axis = axes[static_cast<size_t>(j)];
      const auto expected = plain.tables(positions[axis].narrow(0, token, 1));
      EXPECT_EQ(tables.cos[token][j].item<float>(), expected.cos[0][j].item<float>());
      EXPECT_EQ(tables.sin[token][j].item<float>(), expected.sin[0][j].item<float>());
    }
  }
}

TEST(MultimodalRopeTest, OneAxisStandsForEqualPositionsOnAll) {
  const RotaryEmbedding rotary(16, 100, std::nullopt, MultimodalRope{{4, 2, 2}, true});
  const at::Tensor positions = at::tensor({0, 6, 2}, at::kLong);
  const auto one = rotary.tables(positions), three = rotary.tables(positions.expand({3, -1}));
  EXPECT_TRUE(at::equal(one.cos, three.cos));
  EXPECT_TRUE(at::equal(one.sin, three.sin));
  EXPECT_THROW(rotary.tables(positions.expand({2, -1})), InputError);
}

}  // namespace
}  // namespace e5v::detail
