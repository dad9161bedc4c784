#pragma once

#include <cstdint>

#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {

/// The passes around a product of 8-bit integers: rotate and round what goes in, scale what comes
/// out. Vectorised for the CPU's level (isa.h), spread over rows by OpenMP where said. A row's
/// result depends on that row alone, to the bit.
///
/// A few channels of a language model's states are 50 to 1000 times the others, and would leave
/// those no bits. So each channel is first given the weight that it has in the product (x · c for
/// W / c, see PackedWeight), then rows are multiplied by an orthogonal matrix that spreads each
/// channel over all: (x R)(W R)ᵀ = x Wᵀ, and x R is nearly Gaussian whatever x was (QuaRot,
/// arXiv 2404.00456). R is block-diagonal: Hadamard matrices of `hadamard_size(size)` over the root
/// of their size.

/// The largest power of two that divides `size` > 0.
int64_t hadamard_size(int64_t size);

/// x [num_rows, size] in place: each block of hadamard_size(size) times the Hadamard matrix with
/// entries ±1 (Sylvester's order); *not* divided by its root. On the calling thread.
void hadamard(float* x, int64_t num_rows, int64_t size);

/// out = round(y / scales), where y = (x · channels) R and scales = max|y| / 127 of the row, so
/// that y ≈ out · scales. Rounds to nearest even; a row of zeros has scale 0; NaN or infinity gives
/// a scale that is not finite. x, out [num_rows, size]; channels [size] or null for ones; scales
/// [num_rows]. In parallel.
void rotate_and_quantize(const float* x, const float* channels, int64_t num_rows, int64_t size,
                         int8_t* out, float* scales);
void rotate_and_quantize(const BFloat16* x, const float* channels, int64_t num_rows, int64_t size,
                         int8_t* out, float* scales);

/// y (+)= sums · row_scales · column_scales + bias.  sums [num_rows, size] contiguous; y with
/// `y_stride` elements from row to row; bias [size] or null. On the calling thread.
void scale_sums(const int32_t* sums, int64_t num_rows, int64_t size, const float* row_scales,
                const float* column_scales, const float* bias, bool accumulate, float* y,
                int64_t y_stride);
void scale_sums(const int32_t* sums, int64_t num_rows, int64_t size, const float* row_scales,
                const float* column_scales, const float* bias, BFloat16* y, int64_t y_stride);

}  // namespace e5v::detail
