#pragma once

#include <cstdint>

#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {

/// The small work between matrix products: one pass each over row-major memory, vectorised for the
/// CPU's level (isa.h) and spread over tokens by OpenMP (as many threads as omp_get_max_threads()).
///
/// All arithmetic is fp32 whatever the operands; bf16 results are rounded to the nearest even.
/// A row's result depends on that row alone, to the bit. `num_rows`/`size` 0 is allowed.
/// T tokens, D hidden size, H heads, Dh head size, I intermediate size.

/// out = x / sqrt(mean(x²) + eps) · weight, per row.  x, out [num_rows, size]; weight [size].
void rms_norm(const float* x, const float* weight, float eps, int64_t num_rows, int64_t size,
              float* out);
void rms_norm(const float* x, const float* weight, float eps, int64_t num_rows, int64_t size,
              BFloat16* out);

/// out = (x − mean) / sqrt(variance + eps) · weight + bias, per row.
void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t num_rows,
                int64_t size, float* out);
void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t num_rows,
                int64_t size, BFloat16* out);

/// The gradient of rms_norm in x: dx = factor · (g − x · factor² · mean(x · g)), g = dy · weight
/// and factor = 1 / sqrt(mean(x²) + eps), per row.  x, dy, dx [num_rows, size].
void rms_norm_backward(const float* x, const float* weight, float eps, const float* dy,
                       int64_t num_rows, int64_t size, float* dx);
void rms_norm_backward(const float* x, const float* weight, float eps, const BFloat16* dy,
                       int64_t num_rows, int64_t size, float* dx);

/// Rotary position embedding in place, in the rotate-half form of Llama (element i pairs with
/// i + Dh/2).  x [T, H, Dh] with `row_stride` elements from one token to the next, so that the
/// queries and keys inside a fused projection's output need no copy; cos, sin [T, Dh/2]; Dh even.
void rotary(float* x, int64_t row_stride, const float* cos, const float* sin, int64_t num_tokens,
            int64_t num_heads, int64_t head_size);
void rotary(BFloat16* x, int64_t row_stride, const float* cos, const float* sin, int64_t num_tokens,
            int64_t num_heads, int64_t head_size);

/// out = silu(gate) · up.  gate_up [T, 2I]: the gate's columns, then those of up; out [T, I].
void silu_mul(const float* gate_up, int64_t num_tokens, int64_t size, float* out);
void silu_mul(const float* gate_up, int64_t num_tokens, int64_t size, BFloat16* out);
void silu_mul(const BFloat16* gate_up, int64_t num_tokens, int64_t size, BFloat16* out);

/// The same of a gate and an up that lie apart, element by element.
void silu_mul_apart(const float* gate, const float* up, int64_t size, float* out);
void silu_mul_apart(const BFloat16* gate, const BFloat16* up, int64_t size, BFloat16* out);

/// The gradients of silu(gate) · up, of whose result `dy` is the gradient. `d_gate` may be `gate`
/// or `dy`, `d_up` likewise.
void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t size,
                       float* d_gate, float* d_up);
void silu_mul_backward(const BFloat16* gate, const BFloat16* up, const BFloat16* dy, int64_t size,
                       BFloat16* d_gate, BFloat16* d_up);

/// out = x · sigmoid(1.702 x), CLIP's activation.  `out` may be `x`.
void quick_gelu(const float* x, int64_t size, float* out);
void quick_gelu(const BFloat16* x, int64_t size, BFloat16* out);

/// out = x · Φ(x) with the exact (erf) normal distribution function.  `out` may be `x`.
void gelu_erf(const float* x, int64_t size, float* out);
void gelu_erf(const BFloat16* x, int64_t size, BFloat16* out);

void convert(const float* x, int64_t size, BFloat16* out);
void convert(const BFloat16* x, int64_t size, float* out);

/// out = x · keep, or 0 where 16 bits drawn for an element are below `threshold`: dropout. The bits
/// of elements 4i to 4i + 3 of a row are those of mix64(row_keys[row] + 4i) (base/random.h), the
/// lowest first.  x, out [num_rows, size]; row_keys [num_rows].
void drop(const float* x, const uint64_t* row_keys, uint32_t threshold, float keep,
          int64_t num_rows, int64_t size, float* out);
void drop(const BFloat16* x, const uint64_t* row_keys, uint32_t threshold, float keep,
          int64_t num_rows, int64_t size, BFloat16* out);

/// x += y: the residual.
void add_in_place(float* x, const float* y, int64_t size);

}  // namespace e5v::detail
