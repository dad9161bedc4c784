#include "e5v/checkpoint/convert.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are stored little-endian and read in place");

constexpr uint32_t kFloat32Infinity = 0x7f800000;

// Integer steps and one exact subtraction, without branches, so that a loop over it vectorises and
// a processor that flushes denormals gives the same.
float expand_float16(uint16_t half) {
  constexpr uint32_t kRebias = (127 - 15) << 23;
  constexpr uint32_t kSmallestNormal = 113 << 23;  // 2^-14, float16's smallest normal number
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
  const uint32_t exponent = magnitude & 0x0f800000;
  const float subnormal =
      std::bit_cast<float>(magnitude + kSmallestNormal) - std::bit_cast<float>(kSmallestNormal);
  const uint32_t special = magnitude | kFloat32Infinity;  // infinity or NaN
  const uint32_t normal = magnitude + kRebias;
  const uint32_t bits = exponent == 0            ? std::bit_cast<uint32_t>(subnormal)
                        : exponent == 0x0f800000 ? special
                                                 : normal;
  return std::bit_cast<float>(bits | (static_cast<uint32_t>(half & 0x8000) << 16));
}

float expand_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float expand_float8_e4m3(uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int mantissa = bits & 7;
  float magnitude;
  if (exponent == 15 && mantissa == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -9);
  } else {
    magnitude = std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  }
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

const std::array<float, 256>& float8_e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values;
    for (int bits = 0; bits < 256; ++bits) {
      values[bits] = expand_float8_e4m3(static_cast<uint8_t>(bits));
    }
    return values;
  }();
  return table;
}

// Float16 has the same exponent, so a float8 of this kind is its upper byte.
float expand_float8_e5m2(uint8_t bits) { return expand_float16(static_cast<uint16_t>(bits << 8)); }

uint16_t round_to_float16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > kFloat32Infinity) return sign | 0x7e00;
  // From 65520 = 65504 + half a step on, the nearest float16 is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {  // below 2^-14: subnormal, in steps of 2^-24
    // Adding 0.5, whose last bit is worth 2^-24, makes the adder round to that step, ties to even.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(rounded) - 0x3f000000);
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return sign | static_cast<uint16_t>((magnitude - ((127 - 15) << 23) + 0x0fff + odd) >> 13);
}

uint16_t round_to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto rounded = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  const bool nan = (bits & 0x7fffffff) > kFloat32Infinity;
  return nan ? static_cast<uint16_t>((bits >> 16) | 0x7fc0) : rounded;
}

/// target[i] = convert(the i-th Source), read through memcpy since `source` may be misaligned.
template <class Source, class Target, class Convert>
void convert_each(const std::byte* source, std::byte* target, size_t count, Convert convert) {
  for (size_t i = 0; i < count; ++i) {
    Source value;
    std::memcpy(&value, source + i * sizeof(Source), sizeof(Source));
    const Target converted = convert(value);
    std::memcpy(target + i * sizeof(Target), &converted, sizeof(Target));
  }
}

void check_sizes(DType dtype, size_t stored_bytes, size_t num_floats) {
  if (stored_bytes % dtype_bytes(dtype) != 0 || stored_bytes / dtype_bytes(dtype) != num_floats) {
    throw InputError(fmt::format("{} bytes of {} do not match {} float32 values", stored_bytes,
                                 dtype_name(dtype), num_floats));
  }
}

}  // namespace

float float16_to_float32(uint16_t half) { return expand_float16(half); }
float bfloat16_to_float32(uint16_t bits) { return expand_bfloat16(bits); }
float float8_e4m3_to_float32(uint8_t bits) { return expand_float8_e4m3(bits); }
float float8_e5m2_to_float32(uint8_t bits) { return expand_float8_e5m2(bits); }
uint16_t float32_to_float16(float value) { return round_to_float16(value); }
uint16_t float32_to_bfloat16(float value) { return round_to_bfloat16(value); }

void convert_to_float32(DType dtype, std::span<const std::byte> source, std::span<float> target) {
  check_sizes(dtype, source.size(), target.size());
  if (source.empty()) return;
  const std::byte* from = source.data();
  auto* to = reinterpret_cast<std::byte*>(target.data());
  const size_t count = target.size();
  switch (dtype) {
    case DType::F32:
      std::memcpy(to, from, source.size());
      return;
    case DType::F64:
      return convert_each<double, float>(from, to, count,
                                         [](double value) { return static_cast<float>(value); });
    case DType::F16:
      return convert_each<uint16_t, float>(from, to, count, expand_float16);
    case DType::BF16:
      return convert_each<uint16_t, float>(from, to, count, expand_bfloat16);
    case DType::F8_E4M3: {
      const std::array<float, 256>& table = float8_e4m3_table();
      return convert_each<uint8_t, float>(from, to, count,
                                          [&](uint8_t bits) { return table[bits]; });
    }
    case DType::F8_E5M2:
      return convert_each<uint8_t, float>(from, to, count, expand_float8_e5m2);
    default:
      throw InputError(fmt::format("cannot convert {} to float32: expected a floating-point type",
                                   dtype_name(dtype)));
  }
}

void convert_from_float32(DType dtype, std::span<const float> source, std::span<std::byte> target) {
  check_sizes(dtype, target.size(), source.size());
  if (source.empty()) return;
  const auto* from = reinterpret_cast<const std::byte*>(source.data());
  switch (dtype) {
    case DType::F32:
      std::memcpy(target.data(), from, target.size());
      return;
    case DType::F16:
      return convert_each<float, uint16_t>(from, target.data(), source.size(), round_to_float16);
    case DType::BF16:
      return convert_each<float, uint16_t>(from, target.data(), source.size(), round_to_bfloat16);
    default:
      throw InputError(fmt::format("cannot convert float32 to {}: expected F32, F16 or BF16",
                                   dtype_name(dtype)));
  }
}

}  // namespace e5v::detail
