// The functions of four_bits.h as each instruction set has them.
#pragma once

#include <cstdint>

#include "e5v/kernels/four_bits.h"

namespace e5v::detail {

struct FourBitKernels {
  void (*round_to_int4)(const float* x, int64_t num_groups, float scale, uint8_t* codes,
                        uint8_t* multipliers);
  void (*unpack_int4)(const uint8_t* codes, const uint8_t* multipliers, int64_t num_groups,
                      int8_t* out);
  void (*widen_nf4)(const uint8_t* codes, const float* scales, const float* values,
                    int64_t num_blocks, BFloat16* out);
};

extern const FourBitKernels kGenericFourBits;
extern const FourBitKernels kAvx2FourBits;
extern const FourBitKernels kAvx512FourBits;

/// Multipliers tried below and above the one that just holds a group's largest value: rounding the
/// largest away is often better for all others together.
constexpr int kInt4TriedBelow = 4, kInt4TriedAbove = 1;

/// That multiplier.
inline int int4_multiplier(float largest, float scale) {
  const float exact = largest / (7 * scale);
  return exact >= kInt4LargestMultiplier ? kInt4LargestMultiplier
         : exact >= 1                    ? static_cast<int>(exact + 0.5f)
                                         : 1;
}

}  // namespace e5v::detail
