// The functions of elementwise.h on one thread, as each instruction set has them.
#pragma once

#include <cstdint>

#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {

struct ElementwiseKernels {
  template <class Out>
  using RmsNorm = void (*)(const float* x, const float* weight, float eps, int64_t num_rows,
                           int64_t size, Out* out);
  template <class Out>
  using LayerNorm = void (*)(const float* x, const float* weight, const float* bias, float eps,
                             int64_t num_rows, int64_t size, Out* out);
  template <class T>
  using Rotary = void (*)(T* x, int64_t row_stride, const float* cos, const float* sin,
                          int64_t num_tokens, int64_t num_heads, int64_t head_size);
  template <class In, class Out>
  using SiluMul = void (*)(const In* gate_up, int64_t num_tokens, int64_t size, Out* out);
  template <class Gradient>
  using RmsNormBackward = void (*)(const float* x, const float* weight, float eps,
                                   const Gradient* dy, int64_t num_rows, int64_t size, float* dx);
  template <class T>
  using SiluMulApart = void (*)(const T* gate, const T* up, int64_t size, T* out);
  template <class T>
  using Drop = void (*)(const T* x, const uint64_t* row_keys, uint32_t threshold, float keep,
                        int64_t num_rows, int64_t size, T* out);
  template <class T>
  using SiluMulBackward = void (*)(const T* gate, const T* up, const T* dy, int64_t size, T* d_gate,
                                   T* d_up);
  template <class In, class Out>
  using Map = void (*)(const In* x, int64_t size, Out* out);

  RmsNorm<float> rms_norm_f32;
  RmsNorm<BFloat16> rms_norm_bf16;
  LayerNorm<float> layer_norm_f32;
  LayerNorm<BFloat16> layer_norm_bf16;
  Rotary<float> rotary_f32;
  Rotary<BFloat16> rotary_bf16;
  SiluMul<float, float> silu_mul_f32;
  SiluMul<float, BFloat16> silu_mul_f32_bf16;
  SiluMul<BFloat16, BFloat16> silu_mul_bf16;
  Map<float, float> quick_gelu_f32;
  Map<BFloat16, BFloat16> quick_gelu_bf16;
  Map<float, float> gelu_erf_f32;
  Map<BFloat16, BFloat16> gelu_erf_bf16;
  Map<float, BFloat16> convert_to_bf16;
  Map<BFloat16, float> convert_to_f32;
  void (*add_in_place)(float* x, const float* y, int64_t size);
  RmsNormBackward<float> rms_norm_backward_f32;
  RmsNormBackward<BFloat16> rms_norm_backward_bf16;
  SiluMulApart<float> silu_mul_apart_f32;
  SiluMulApart<BFloat16> silu_mul_apart_bf16;
  SiluMulBackward<float> silu_mul_backward_f32;
  SiluMulBackward<BFloat16> silu_mul_backward_bf16;
  Drop<float> drop_f32;
  Drop<BFloat16> drop_bf16;
};

extern const ElementwiseKernels kGenericElementwise;
extern const ElementwiseKernels kAvx2Elementwise;
extern const ElementwiseKernels kAvx512Elementwise;

/// Fills the table with a source's own templates, which all have these names.
#define E5V_ELEMENTWISE_KERNELS                                                             \
  {                                                                                         \
    rms_norm_rows<float>, rms_norm_rows<BFloat16>, layer_norm_rows<float>,                  \
        layer_norm_rows<BFloat16>, rotary_rows<float>, rotary_rows<BFloat16>,               \
        silu_mul_rows<float, float>, silu_mul_rows<float, BFloat16>,                        \
        silu_mul_rows<BFloat16, BFloat16>, quick_gelu_all<float>, quick_gelu_all<BFloat16>, \
        gelu_erf_all<float>, gelu_erf_all<BFloat16>, convert_all<float, BFloat16>,          \
        convert_all<BFloat16, float>, add_all, rms_norm_backward_rows<float>,               \
        rms_norm_backward_rows<BFloat16>, silu_mul_apart<float>, silu_mul_apart<BFloat16>,  \
        silu_mul_backward_all<float>, silu_mul_backward_all<BFloat16>, drop_rows<float>,    \
        drop_rows<BFloat16>                                                                 \
  }

}  // namespace e5v::detail
