#pragma once

#include <cstdint>

#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {

/// Weights of 4 bits a value, as products need them. Vectorised for the CPU's level (isa.h), on the
/// calling thread.

/// Values of an int4 weight that share one multiplier. 16 bytes: value j < 16 of the group in the
/// low half of byte j, value 16 + j in its high half, as value + 8.
constexpr int64_t kInt4Group = 32;
/// Multipliers are 1 to this, so that value · multiplier fits into 8 bits.
constexpr int kInt4LargestMultiplier = 15;

/// Rounds num_groups groups of x to value · multiplier · scale, values from −8 to 7, with the
/// multiplier of the least squared error. `scale` > 0; codes [num_groups, 16], multipliers
/// [num_groups].
void round_to_int4(const float* x, int64_t num_groups, float scale, uint8_t* codes,
                   uint8_t* multipliers);

/// out [num_groups, 32] = value · multiplier; of a multiplier's byte the low half counts.
void unpack_int4(const uint8_t* codes, const uint8_t* multipliers, int64_t num_groups, int8_t* out);

/// out [num_blocks, 64] = values[code] · the block's scale, rounded to bf16. Codes two a byte, the
/// first in the high half; `values` has 16.
void widen_nf4(const uint8_t* codes, const float* scales, const float* values, int64_t num_blocks,
               BFloat16* out);

}  // namespace e5v::detail
