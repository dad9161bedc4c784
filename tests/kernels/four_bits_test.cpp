#include "e5v/kernels/four_bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

class FourBitsTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  std::vector<float> random_floats(size_t size) {
    std::normal_distribution<float> normal(0, 2);
    std::vector<float> values(size);
    for (float& value : values) value = normal(generator_);
    return values;
  }
  std::vector<uint8_t> random_bytes(size_t size, int first, int last) {
    std::uniform_int_distribution<int> uniform(first, last);
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(uniform(generator_));
    return bytes;
  }

  std::mt19937 generator_{7};
  ForcedIsaLevel level_{GetParam()};
};

TEST_P(FourBitsTest, UnpacksEveryCodeTimesEveryMultiplier) {
  for (int m = 1; m <= kInt4LargestMultiplier; ++m) {
    uint8_t codes[16];
    for (int j = 0; j < 16; ++j) codes[j] = static_cast<uint8_t>(j | (15 - j) << 4);
    const auto multiplier = static_cast<uint8_t>(m);
    int8_t out[32];
    unpack_int4(codes, &multiplier, 1, out);
    for (int j = 0; j < 16; ++j) {
      EXPECT_EQ(out[j], (j - 8) * m);
      EXPECT_EQ(out[16 + j], (7 - j) * m);
    }
  }
}

TEST_P(FourBitsTest, RoundingLosesWhatFourBitsMust) {
  constexpr int64_t kGroups = 500;
  const std::vector<float> x = random_floats(kGroups * 32);
  const float largest = std::abs(*std::max_element(
      x.begin(), x.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  const float scale = largest / (7 * kInt4LargestMultiplier);
  std::vector<uint8_t> codes(kGroups * 16), multipliers(kGroups);
  round_to_int4(x.data(), kGroups, scale, codes.data(), multipliers.data());
  std::vector<int8_t> values(kGroups * 32);
  unpack_int4(codes.data(), multipliers.data(), kGroups, values.data());
  double error = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = x[i] - values[i] * scale;
    error += difference * difference;
    norm += x[i] * x[i];
  }
  // Of a Gaussian in groups of 32; with the multiplier of the largest value alone it would be
  // 0.097.
  EXPECT_LT(std::sqrt(error / norm), 0.091);
  EXPECT_GT(std::sqrt(error / norm), 0.085);
}

TEST_P(FourBitsTest, RoundsToTheGenericBits) {
  const std::vector<float> x = random_floats(40 * 32);
  std::vector<uint8_t> codes(40 * 16), multipliers(40), other_codes(codes),
      other_multipliers(multipliers);
  round_to_int4(x.data(), 40, 0.08f, codes.data(), multipliers.data());
  const ForcedIsaLevel forced(IsaLevel::kGeneric);
  round_to_int4(x.data(), 40, 0.08f, other_codes.data(), other_multipliers.data());
  EXPECT_EQ(codes, other_codes);
  EXPECT_EQ(multipliers, other_multipliers);
}

TEST_P(FourBitsTest, GroupsOfZerosAndOfHugeValuesStayInRange) {
  std::vector<float> x(3 * 32, 0.0f);
  std::fill_n(x.begin() + 32, 32, 1e30f);
  std::fill_n(x.begin() + 64, 32, -1e30f);
  std::vector<uint8_t> codes(3 * 16), multipliers(3);
  round_to_int4(x.data(), 3, 1.0f, codes.data(), multipliers.data());
  std::vector<int8_t> values(3 * 32);
  unpack_int4(codes.data(), multipliers.data(), 3, values.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(values[i], 0);
    EXPECT_GE(values[32 + i], 7);
    EXPECT_LE(values[64 + i], -8);
  }
}

TEST_P(FourBitsTest, WidensNf4ToTheGenericBits) {
  constexpr int64_t kBlocks = 9;
  const std::vector<uint8_t> codes = random_bytes(kBlocks * 32, 0, 255);
  const std::vector<float> scales = random_floats(kBlocks), values = random_floats(16);
  std::vector<BFloat16> out(kBlocks * 64);
  widen_nf4(codes.data(), scales.data(), values.data(), kBlocks, out.data());
  for (int64_t i = 0; i < kBlocks * 64; ++i) {
    const uint8_t pair = codes[i / 2];
    const float expected = values[i % 2 == 0 ? pair >> 4 : pair & 15] * scales[i / 64];
    ASSERT_EQ(out[i].bits, to_bfloat16(expected).bits) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, FourBitsTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace e5v::detail
