#include "e5v/kernels/elementwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

using ::testing::FloatEq;

std::vector<float> random_floats(size_t size, float spread = 3, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(size);
  for (float& value : values) value = normal(generator);
  return values;
}

std::vector<BFloat16> to_bfloat16(const std::vector<float>& values) {
  std::vector<BFloat16> result;
  for (const float value : values) result.push_back(e5v::detail::to_bfloat16(value));
  return result;
}

std::vector<float> to_floats(const std::vector<BFloat16>& values) {
  std::vector<float> result;
  for (const BFloat16 value : values) result.push_back(to_float(value));
  return result;
}

/// The relative error of one rounding to bf16 is at most 2^-8; a value that two levels compute a
/// little differently may round to either neighbour.
constexpr float kBf16Step = 1.0f / 128;

void expect_close(const std::vector<float>& got, const std::vector<float>& expected, float absolute,
                  float relative) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], absolute + relative * std::abs(expected[i])) << "at " << i;
  }
}

/// Runs every test at each level of this CPU, the generic one included.
class ElementwiseTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  ForcedIsaLevel level_{GetParam()};
};

// Sizes around the vectors' widths, and one that goes to several threads.
const std::vector<int64_t> kSizes = {1, 7, 8, 15, 16, 17, 64, 100, 2048};

TEST_P(ElementwiseTest, RmsNormIsItsFormula) {
  for (const int64_t size : kSizes) {
    const int64_t rows = 33;
    const auto x = random_floats(rows * size), weight = random_floats(size, 1, 2);
    std::vector<float> expected(rows * size), out(rows * size);
    for (int64_t r = 0; r < rows; ++r) {
      double squares = 0;
      for (int64_t i = 0; i < size; ++i) squares += std::pow(double{x[r * size + i]}, 2);
      for (int64_t i = 0; i < size; ++i) {
        expected[r * size + i] =
            static_cast<float>(x[r * size + i] / std::sqrt(squares / size + 1e-5) * weight[i]);
      }
    }
    rms_norm(x.data(), weight.data(), 1e-5f, rows, size, out.data());
    expect_close(out, expected, 1e-7f, 2e-6f);
    std::vector<BFloat16> half(rows * size);
    rms_norm(x.data(), weight.data(), 1e-5f, rows, size, half.data());
    expect_close(to_floats(half), expected, 1e-7f, kBf16Step);
  }
}

TEST_P(ElementwiseTest, LayerNormIsItsFormula) {
  for (const int64_t size : kSizes) {
    const int64_t rows = 33;
    auto x = random_floats(rows * size);
    for (float& value : x) value += 5;  // a mean that a one-pass variance would suffer from
    const auto weight = random_floats(size, 1, 2), bias = random_floats(size, 1, 3);
    std::vector<float> expected(rows * size), out(rows * size);
    for (int64_t r = 0; r < rows; ++r) {
      double total = 0, squares = 0;
      for (int64_t i = 0; i < size; ++i) total += x[r * size + i];
      const double mean = total / size;
      for (int64_t i = 0; i < size; ++i) squares += std::pow(x[r * size + i] - mean, 2);
      for (int64_t i = 0; i < size; ++i) {
        expected[r * size + i] = static_cast<float>(
            (x[r * size + i] - mean) / std::sqrt(squares / size + 1e-5) * weight[i] + bias[i]);
      }
    }
    layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, rows, size, out.data());
    expect_close(out, expected, 5e-6f, 5e-6f);
    std::vector<BFloat16> half(rows * size);
    layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, rows, size, half.data());
    expect_close(to_floats(half), expected, 5e-6f, kBf16Step);
  }
}

TEST_P(ElementwiseTest, RotaryTurnsPairsAndLeavesTheRestOfARowAlone) {
  const int64_t tokens = 37, heads = 3;
  for (const int64_t head_size : {2, 8, 24, 64, 128}) {
    const int64_t half = head_size / 2, stride = heads * head_size + 5;
    const auto before = random_floats(tokens * stride);
    const auto angles = random_floats(tokens * half, 2, 4);
    std::vector<float> cos, sin;
    for (const float angle : angles) {
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
    auto expected = before;
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t i = 0; i < half; ++i) {
          const size_t a = t * stride + h * head_size + i, b = a + half, c = t * half + i;
          expected[a] = before[a] * cos[c] - before[b] * sin[c];
          expected[b] = before[b] * cos[c] + before[a] * sin[c];
        }
      }
    }
    auto x = before;
    rotary(x.data(), stride, cos.data(), sin.data(), tokens, heads, head_size);
    expect_close(x, expected, 2e-6f, 0);
    auto rounded = to_bfloat16(before);
    rotary(rounded.data(), stride, cos.data(), sin.data(), tokens, heads, head_size);
    expect_close(to_floats(rounded), expected, 0.1f, kBf16Step);
  }
}

TEST_P(ElementwiseTest, SiluMulIsItsFormula) {
  for (const int64_t size : kSizes) {
    const int64_t tokens = 19;
    auto gate_up = random_floats(tokens * 2 * size, 8);
    gate_up[0] = -200;  // e^200 is no float
    std::vector<float> expected(tokens * size), out(tokens * size);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t i = 0; i < size; ++i) {
        const double gate = gate_up[t * 2 * size + i];
        expected[t * size + i] =
            static_cast<float>(gate / (1 + std::exp(-gate)) * gate_up[t * 2 * size + size + i]);
      }
    }
    silu_mul(gate_up.data(), tokens, size, out.data());
    expect_close(out, expected, 1e-6f, 1e-6f);
    std::vector<BFloat16> half(tokens * size);
    silu_mul(gate_up.data(), tokens, size, half.data());
    expect_close(to_floats(half), expected, 1e-6f, kBf16Step);
    silu_mul(to_bfloat16(gate_up).data(), tokens, size, half.data());
    // Near -1.28 the slope of silu is 0; elsewhere an operand's rounding passes through, twice.
    expect_close(to_floats(half), expected, 0.05f, 6 * kBf16Step);
  }
}

TEST_P(ElementwiseTest, GelusAreTheirFormulas) {
  for (const int64_t size : kSizes) {
    auto x = random_floats(size, 3);
    x[0] = -90;
    std::vector<float> erf_form, quick_form, out(size);
    for (const double value : x) {
      erf_form.push_back(static_cast<float>(value * std::erfc(-value / std::sqrt(2.0)) / 2));
      quick_form.push_back(static_cast<float>(value / (1 + std::exp(-1.702 * value))));
    }
    gelu_erf(x.data(), size, out.data());
    expect_close(out, erf_form, 5e-7f, 2e-7f);
    quick_gelu(x.data(), size, out.data());
    expect_close(out, quick_form, 1e-6f, 1e-6f);

    auto in_place = to_bfloat16(x);
    quick_gelu(in_place.data(), size, in_place.data());
    expect_close(to_floats(in_place), quick_form, 0.01f, 2 * kBf16Step);
    in_place = to_bfloat16(x);
    gelu_erf(in_place.data(), size, in_place.data());
    expect_close(to_floats(in_place), erf_form, 0.01f, 2 * kBf16Step);
  }
}

TEST_P(ElementwiseTest, ConversionRoundsToEvenAndKeepsWhatIsNotANumber) {
  const float inf = std::numeric_limits<float>::infinity();
  // 1 + 2^-8 and 1 + 3·2^-8 lie midway between two bf16.
  std::vector<float> x = {0,      -0.0f,   1,   1.00390625f, 1.01171875f,
                          1e-40f, 3.4e38f, inf, -inf,        std::nanf("")};
  const std::vector<float> expected = {0,   -0.0f, 1,   1, 1.015625f, to_float(BFloat16{1}),
                                       inf, inf,   -inf};
  x.resize(100000, 2.5f);  // several threads
  std::vector<BFloat16> half(x.size());
  convert(x.data(), static_cast<int64_t>(x.size()), half.data());
  std::vector<float> back(x.size());
  convert(half.data(), static_cast<int64_t>(half.size()), back.data());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_THAT(back[i], FloatEq(expected[i])) << i;
  EXPECT_TRUE(std::signbit(back[1]));
  EXPECT_TRUE(std::isnan(back[expected.size()]));
  EXPECT_EQ(back.back(), 2.5f);
}

TEST_P(ElementwiseTest, DropsTheElementsWhoseBitsSaySo) {
  for (const int64_t size : kSizes) {
    const int64_t rows = 33;
    const auto x = random_floats(rows * size);
    std::vector<uint64_t> keys;
    for (int64_t r = 0; r < rows; ++r) keys.push_back(mix64(static_cast<uint64_t>(r)));
    std::vector<float> out(rows * size);
    std::vector<BFloat16> half(rows * size);
    drop(x.data(), keys.data(), 20000, 1.5f, rows, size, out.data());
    drop(to_bfloat16(x).data(), keys.data(), 20000, 1.5f, rows, size, half.data());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < size; ++i) {
        const uint64_t bits = mix64(keys[r] + static_cast<uint64_t>(i / 4 * 4)) >> (16 * (i % 4));
        const bool dropped = (bits & 0xffff) < 20000;
        const size_t at = static_cast<size_t>(r * size + i);
        ASSERT_EQ(out[at], dropped ? 0 : x[at] * 1.5f);
        ASSERT_NEAR(to_float(half[at]), out[at], kBf16Step * std::abs(out[at]));
      }
    }
  }
}

TEST_P(ElementwiseTest, AddsTheResidual) {
  const auto x = random_floats(70001), y = random_floats(70001, 3, 2);
  auto result = x;
  add_in_place(result.data(), y.data(), static_cast<int64_t>(result.size()));
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(result[i], x[i] + y[i]);
}

TEST_P(ElementwiseTest, ARowsResultDependsOnThatRowAlone) {
  const int64_t rows = 65, size = 1000;
  const auto x = random_floats(rows * size), weight = random_floats(size, 1, 2);
  std::vector<float> all(rows * size), one(size);
  rms_norm(x.data(), weight.data(), 1e-5f, rows, size, all.data());
  for (int64_t r = 0; r < rows; ++r) {
    rms_norm(x.data() + r * size, weight.data(), 1e-5f, 1, size, one.data());
    for (int64_t i = 0; i < size; ++i) ASSERT_EQ(all[r * size + i], one[i]);
  }
}

TEST_P(ElementwiseTest, AcceptsNoRows) {
  rms_norm(nullptr, nullptr, 1e-5f, 0, 16, static_cast<float*>(nullptr));
  silu_mul(static_cast<const float*>(nullptr), 0, 16, static_cast<float*>(nullptr));
  convert(static_cast<const float*>(nullptr), 0, static_cast<BFloat16*>(nullptr));
}

INSTANTIATE_TEST_SUITE_P(Levels, ElementwiseTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return to_string(info.param); });

TEST(IsaTest, AForcedLevelEndsWithItsObject) {
  const IsaLevel before = isa_level();
  {
    const ForcedIsaLevel forced(IsaLevel::kGeneric);
    EXPECT_EQ(isa_level(), IsaLevel::kGeneric);
  }
  EXPECT_EQ(isa_level(), before);
}

}  // namespace
}  // namespace e5v::detail
