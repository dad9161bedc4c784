#include "e5v/kernels/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<float> random_floats(size_t size, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> values(size);
  for (float& value : values) value = normal(generator);
  return values;
}

// Odd sizes, blocks smaller than a vector, and all combinations of passes.
const std::vector<int64_t> kSizes = {1,  3,   4,   8,   12,  16,   32,   64,
                                     96, 128, 588, 256, 512, 1024, 2048, 4096 * 3};

class QuantizeTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  ForcedIsaLevel level_{GetParam()};
};

TEST_P(QuantizeTest, HadamardOfFourIsKnown) {
  std::vector<float> x = {1, 2, 3, 5};
  hadamard(x.data(), 1, 4);
  EXPECT_THAT(x, ElementsAre(11, -3, -5, 1));
}

TEST_P(QuantizeTest, HadamardTwiceIsTheSizeTimesTheInput) {
  for (const int64_t size : kSizes) {
    const std::vector<float> x = random_floats(2 * size);
    std::vector<float> twice = x;
    hadamard(twice.data(), 2, size);
    hadamard(twice.data(), 2, size);
    const auto block = static_cast<float>(hadamard_size(size));
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(twice[i] / block, x[i], 1e-5) << "size " << size << " at " << i;
    }
  }
}

TEST_P(QuantizeTest, HadamardHasTheGenericBits) {
  for (const int64_t size : kSizes) {
    std::vector<float> x = random_floats(size), generic = x;
    hadamard(x.data(), 1, size);
    const ForcedIsaLevel forced(IsaLevel::kGeneric);
    hadamard(generic.data(), 1, size);
    ASSERT_EQ(x, generic) << "size " << size;
  }
}

TEST_P(QuantizeTest, RoundsTheRotatedRowToItsLargest) {
  for (const int64_t size : kSizes) {
    const int64_t num_rows = 5;
    const std::vector<float> x = random_floats(num_rows * size);
    std::vector<float> rotated = x;
    hadamard(rotated.data(), num_rows, size);
    const float root = std::sqrt(static_cast<float>(hadamard_size(size)));
    std::vector<int8_t> out(num_rows * size);
    std::vector<float> scales(num_rows);
    rotate_and_quantize(x.data(), nullptr, num_rows, size, out.data(), scales.data());
    for (int64_t r = 0; r < num_rows; ++r) {
      int largest = 0;
      for (int64_t i = r * size; i < (r + 1) * size; ++i) {
        largest = std::max(largest, std::abs(static_cast<int>(out[i])));
        ASSERT_NEAR(out[i] * scales[r], rotated[i] / root, 0.501f * scales[r]) << "size " << size;
      }
      EXPECT_EQ(largest, 127);
    }
  }
}

TEST_P(QuantizeTest, TakesBfloat16AsItsFloats) {
  const int64_t size = 100;
  std::vector<float> x = random_floats(3 * size);
  std::vector<BFloat16> narrow;
  for (float& value : x) {
    narrow.push_back(to_bfloat16(value));
    value = to_float(narrow.back());
  }
  std::vector<int8_t> out(3 * size), from_narrow(3 * size);
  std::vector<float> scales(3), narrow_scales(3);
  rotate_and_quantize(x.data(), nullptr, 3, size, out.data(), scales.data());
  rotate_and_quantize(narrow.data(), nullptr, 3, size, from_narrow.data(), narrow_scales.data());
  EXPECT_EQ(out, from_narrow);
  EXPECT_EQ(scales, narrow_scales);
}

TEST_P(QuantizeTest, ChannelsAreWeighedFirst) {
  const int64_t size = 100;
  std::vector<float> x = random_floats(size), channels = random_floats(size, 2);
  std::vector<int8_t> out(size), expected(size);
  float scale = 0, expected_scale = 0;
  rotate_and_quantize(x.data(), channels.data(), 1, size, out.data(), &scale);
  for (int64_t i = 0; i < size; ++i) x[i] *= channels[i];
  rotate_and_quantize(x.data(), nullptr, 1, size, expected.data(), &expected_scale);
  EXPECT_EQ(out, expected);
  EXPECT_EQ(scale, expected_scale);
}

TEST_P(QuantizeTest, AnOutlierLeavesBitsForTheRest) {
  const int64_t size = 2048;
  std::vector<float> x = random_floats(size);
  x[77] = 2000;  // a thousand times the others
  std::vector<int8_t> out(size);
  float scale = 0;
  rotate_and_quantize(x.data(), nullptr, 1, size, out.data(), &scale);
  std::vector<float> back(out.begin(), out.end());
  hadamard(back.data(), 1, size);
  double error = 0, energy = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (i == 77) continue;
    const double difference = back[i] * scale / std::sqrt(2048.0) - x[i];
    error += difference * difference;
    energy += x[i] * x[i];
  }
  EXPECT_LT(std::sqrt(error / energy), 0.1);  // without the rotation 1: all others round to zero
}

TEST_P(QuantizeTest, ZerosAndWhatIsNotFinite) {
  std::vector<float> x(3 * 32, 0.0f);
  x[32 + 5] = std::numeric_limits<float>::quiet_NaN();
  x[64 + 5] = std::numeric_limits<float>::infinity();
  std::vector<int8_t> out(x.size(), 1);
  std::vector<float> scales(3);
  rotate_and_quantize(x.data(), nullptr, 3, 32, out.data(), scales.data());
  EXPECT_THAT(out, Each(0));
  EXPECT_EQ(scales[0], 0);
  EXPECT_FALSE(std::isfinite(scales[1]));
  EXPECT_FALSE(std::isfinite(scales[2]));
}

TEST_P(QuantizeTest, ScalesSums) {
  for (const int64_t size : {1, 7, 16, 40}) {
    std::vector<int32_t> sums(2 * size);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<int32_t>(i * 1000) - 5000;
    const std::vector<float> columns = random_floats(size, 2), bias = random_floats(size, 3);
    const std::vector<float> rows = {0.5f, -2};
    const int64_t stride = size + 3;
    std::vector<float> y(2 * stride, 1.0f), expected = y;
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t i = 0; i < size; ++i) {
        expected[r * stride + i] += sums[r * size + i] * rows[r] * columns[i] + bias[i];
      }
    }
    scale_sums(sums.data(), 2, size, rows.data(), columns.data(), bias.data(), true, y.data(),
               stride);
    std::vector<BFloat16> narrow(2 * stride, to_bfloat16(1.0f));
    scale_sums(sums.data(), 2, size, rows.data(), columns.data(), nullptr, narrow.data(), stride);
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t i = 0; i < stride; ++i) {
        const float value = expected[r * stride + i];
        ASSERT_NEAR(y[r * stride + i], value, 1e-5f * (1 + std::abs(value)));
        const float plain = i < size ? value - 1 - bias[i] : 1;
        ASSERT_NEAR(to_float(narrow[r * stride + i]), plain, 0.01f * (1 + std::abs(plain)));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, QuantizeTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return to_string(info.param); });

}  // namespace
}  // namespace e5v::detail
