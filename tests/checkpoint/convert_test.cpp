#include "e5v/checkpoint/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The value of a small binary float, straight from its definition.
double value_of(uint32_t bits, int exponent_bits, int mantissa_bits, bool has_infinity) {
  const uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
  const uint32_t exponent = (bits >> mantissa_bits) & ((1u << exponent_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits >> (exponent_bits + mantissa_bits)) != 0 ? -1 : 1;
  const bool last_exponent = exponent == (1u << exponent_bits) - 1;
  if (last_exponent && has_infinity) return mantissa == 0 ? sign * kInfinity : std::nan("");
  if (last_exponent && mantissa == (1u << mantissa_bits) - 1) return std::nan("");
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1u << mantissa_bits) + mantissa,
                           static_cast<int>(exponent) - bias - mantissa_bits);
}

void expect_same(double expected, float actual, uint32_t bits) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << std::hex << bits;
  } else {
    EXPECT_EQ(std::bit_cast<uint32_t>(static_cast<float>(expected)),
              std::bit_cast<uint32_t>(actual))
        << std::hex << bits;
  }
}

TEST(Convert, EveryHalfPrecisionPatternBecomesItsValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    expect_same(value_of(bits, 5, 10, true), float16_to_float32(half), bits);
    expect_same(value_of(bits, 8, 7, true), bfloat16_to_float32(half), bits);
  }
}

TEST(Convert, EveryFloat8PatternBecomesItsValue) {
  for (uint32_t bits = 0; bits < 256; ++bits) {
    const auto byte = static_cast<uint8_t>(bits);
    expect_same(value_of(bits, 4, 3, false), float8_e4m3_to_float32(byte), bits);
    expect_same(value_of(bits, 5, 2, true), float8_e5m2_to_float32(byte), bits);
  }
  EXPECT_EQ(float8_e4m3_to_float32(0x7e), 448.0f);
  EXPECT_EQ(float8_e5m2_to_float32(0x7b), 57344.0f);
}

TEST(Convert, HalfPrecisionSurvivesTheWayToFloat32AndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!std::isnan(float16_to_float32(half))) {
      EXPECT_EQ(float32_to_float16(float16_to_float32(half)), half);
    }
    if (!std::isnan(bfloat16_to_float32(half))) {
      EXPECT_EQ(float32_to_bfloat16(bfloat16_to_float32(half)), half);
    }
  }
}

// Between two neighbours lies a tie; it goes to the even one, and the floats on both sides of it to
// the nearer one. Holds for the step to infinity as well.
template <class Expand, class Round>
void expect_nearest_even(uint16_t infinity, Expand expand, Round round) {
  for (uint16_t bits = 0; bits < infinity; ++bits) {
    const double low = expand(bits);
    const double step = low - (bits == 0 ? -expand(1) : expand(static_cast<uint16_t>(bits - 1)));
    const double high = bits + 1 == infinity ? low + step : expand(static_cast<uint16_t>(bits + 1));
    const auto tie = static_cast<float>((low + high) / 2);
    const auto even = static_cast<uint16_t>(bits + (bits & 1));
    ASSERT_EQ(round(tie), even) << std::hex << bits;
    ASSERT_EQ(round(-tie), even | 0x8000) << std::hex << bits;
    ASSERT_EQ(round(std::nextafter(tie, 0.0f)), bits) << std::hex << bits;
    ASSERT_EQ(round(std::nextafter(tie, kInfinity)), bits + 1) << std::hex << bits;
  }
}

TEST(Convert, RoundingIsToNearestWithTiesToEven) {
  expect_nearest_even(0x7c00, float16_to_float32, float32_to_float16);
  expect_nearest_even(0x7f80, bfloat16_to_float32, float32_to_bfloat16);
}

TEST(Convert, InfinityAndNanStayWhatTheyAre) {
  EXPECT_EQ(float32_to_float16(kInfinity), 0x7c00);
  EXPECT_EQ(float32_to_float16(-kInfinity), 0xfc00);
  EXPECT_EQ(float32_to_float16(1e30f), 0x7c00);
  EXPECT_EQ(float32_to_bfloat16(-kInfinity), 0xff80);
  EXPECT_EQ(float32_to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);
  // NaNs whose payload sits in the bits that are cut off, or overflows when rounded.
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    const auto nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(float16_to_float32(float32_to_float16(nan)))) << std::hex << bits;
    EXPECT_TRUE(std::isnan(bfloat16_to_float32(float32_to_bfloat16(nan)))) << std::hex << bits;
  }
}

TEST(Convert, SpansOfAnyAlignmentGiveTheSame) {
  const std::vector<float> values = {0.0f, 1.0f, -2.5f, 1e-7f, 448.0f, 3.0f, 0.1f};
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
    const size_t bytes = values.size() * dtype_bytes(dtype);
    std::vector<std::byte> aligned(bytes), shifted(bytes + 1);
    convert_from_float32(dtype, values, aligned);
    convert_from_float32(dtype, values, std::span(shifted).subspan(1));
    EXPECT_TRUE(std::equal(aligned.begin(), aligned.end(), shifted.begin() + 1));
    std::vector<float> from_aligned(values.size()), from_shifted(values.size());
    convert_to_float32(dtype, aligned, from_aligned);
    convert_to_float32(dtype, std::span(shifted).subspan(1), from_shifted);
    EXPECT_EQ(from_aligned, from_shifted);
  }
}

TEST(Convert, WrongSizesAndTypesAreInputErrors) {
  std::vector<std::byte> bytes(8);
  std::vector<float> values(3);
  EXPECT_THROW(convert_to_float32(DType::F16, bytes, values), InputError);
  EXPECT_THROW(convert_from_float32(DType::F16, values, bytes), InputError);
  values.resize(4);
  EXPECT_THROW(convert_to_float32(DType::I16, bytes, values), InputError);
  EXPECT_THROW(convert_from_float32(DType::U16, values, bytes), InputError);
  values.resize(1);
  EXPECT_THROW(convert_from_float32(DType::F64, values, bytes), InputError);
  EXPECT_NO_THROW(convert_to_float32(DType::F64, bytes, values));
  EXPECT_NO_THROW(convert_to_float32(DType::BF16, {}, {}));
}

}  // namespace
}  // namespace e5v::detail
