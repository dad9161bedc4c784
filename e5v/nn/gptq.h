#pragma once

#include <ATen/ATen.h>

namespace e5v::detail {

/// Rounds a weight to 4 bits column after column: what rounding one column has changed in the
/// products with `inputs` is made up for by the columns after it. The sum of squared errors of
/// those products becomes several times smaller than by rounding each value to the nearest. (GPTQ,
/// Frantar et al., arXiv 2210.17323, with the damping given there, in the equivalent form of QuIP's
/// LDLQ, arXiv 2307.13304, section 3: one factorisation and no inverse.)
///
///   rows         [out, K] fp32, K a multiple of kInt4Group (kernels/four_bits.h)
///   inputs       [T, K] fp32, what the rows are multiplied with; T may be smaller than K
///   scales       [out] fp32, of each row; 0 for a row of zeros
///   codes        [out, K / 2] uint8, written
///   multipliers  [out, K / kInt4Group] uint8, written
/// In memory: three matrices [K, K] of double, two of the rows. Throws InputError where inputs are
/// not finite.
void round_with_feedback(const at::Tensor& rows, const at::Tensor& inputs, const at::Tensor& scales,
                         const at::Tensor& codes, const at::Tensor& multipliers);

}  // namespace e5v::detail
