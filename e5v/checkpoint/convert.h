#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "e5v/checkpoint/dtype.h"

namespace e5v::detail {

// One value at a time. Rounding is to nearest, ties to even; values too large become infinite; a
// NaN stays a NaN, its payload does not.
float float16_to_float32(uint16_t half);
float bfloat16_to_float32(uint16_t bits);
float float8_e4m3_to_float32(uint8_t bits);  ///< the "fn" kind: no infinities, S.1111.111 is NaN
float float8_e5m2_to_float32(uint8_t bits);
uint16_t float32_to_float16(float value);
uint16_t float32_to_bfloat16(float value);

/// Converts little-endian elements of a floating-point `dtype`, of any alignment, to float32.
/// `source` holds `target.size()` elements. Exact but for F64, which is rounded.
/// Throws InputError if `dtype` is not floating point or the sizes do not match.
void convert_to_float32(DType dtype, std::span<const std::byte> source, std::span<float> target);

/// Converts float32 to F32, F16 or BF16; `target` holds `source.size()` elements, any alignment.
/// Throws InputError for another `dtype` or sizes that do not match.
void convert_from_float32(DType dtype, std::span<const float> source, std::span<std::byte> target);

}  // namespace e5v::detail
