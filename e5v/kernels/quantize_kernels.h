// The functions of quantize.h on one thread, as each instruction set has them.
#pragma once

#include <cstdint>

#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {

struct QuantizeKernels {
  /// One block of a power of two, in place.
  void (*hadamard)(float* x, int64_t size);
  /// out = x · channels; `channels` null for ones.
  void (*weigh_f32)(const float* x, const float* channels, int64_t size, float* out);
  void (*weigh_bf16)(const BFloat16* x, const float* channels, int64_t size, float* out);
  /// max|x|; NaN if there is one.
  float (*largest_magnitude)(const float* x, int64_t size);
  /// round(x · factor)
  void (*round)(const float* x, int64_t size, float factor, int8_t* out);
  void (*scale_f32)(const int32_t* sums, int64_t size, float row_scale, const float* column_scales,
                    const float* bias, bool accumulate, float* y);
  void (*scale_bf16)(const int32_t* sums, int64_t size, float row_scale, const float* column_scales,
                     const float* bias, BFloat16* y);
};

extern const QuantizeKernels kGenericQuantize;
extern const QuantizeKernels kAvx2Quantize;
extern const QuantizeKernels kAvx512Quantize;

/// Fills the table with a source's own functions, which all have these names.
#define E5V_QUANTIZE_KERNELS                                                                     \
  {                                                                                              \
    hadamard_block, weigh_all<float>, weigh_all<BFloat16>, largest_of, round_all, scale_row_f32, \
        scale_row_bf16                                                                           \
  }

}  // namespace e5v::detail
