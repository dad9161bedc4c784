#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace e5v::detail {

/// Part of a weight in bf16: rows of adjacent values, `row_stride` values from one to the next.
struct WeightBlock {
  const at::BFloat16* values;
  int64_t row_stride;
};

/// A frozen weight [out, in] as a product reads it, a block at a time: its own memory, or the block
/// widened to `scratch`, which has room for it and stays until the thread's next call. Called by
/// several threads at once.
using ReadWeightBlock =
    std::function<WeightBlock(int64_t first_row, int64_t num_rows, int64_t first_column,
                              int64_t num_columns, at::BFloat16* scratch)>;

/// Whether this CPU multiplies bf16, without which the products below are refused.
bool has_streamed_products();

/// The type that operands of x's are widened to for libtorch's own products: fp32 for bf16 on a CPU
/// without such products, where libtorch's are slow (x86-64) or missing (arm64), else x's.
at::ScalarType torch_operand_dtype(const at::Tensor& x);

/// x Wᵀ and dy W of a weight that is packed for the product panel by panel, in each thread's own
/// megabyte, so that one copy of it in any form serves both. Packing costs a few per cent where
/// there are hundreds of rows, more for fewer. Sums are fp32. Not differentiable.
///   x [T, in], dy [T, out]  bf16 on the CPU, rows adjacent; T = 0 is allowed
///   returns                 [T, out] or [T, in], of `out_dtype` (fp32 or bf16)
at::Tensor streamed_product(const at::Tensor& x, int64_t out_features,
                            const ReadWeightBlock& weight, at::ScalarType out_dtype);
/// y [T, out] fp32, contiguous, += x Wᵀ.
void add_streamed_product(const at::Tensor& x, const ReadWeightBlock& weight, const at::Tensor& y);
at::Tensor streamed_gradient(const at::Tensor& dy, int64_t in_features,
                             const ReadWeightBlock& weight, at::ScalarType out_dtype);

}  // namespace e5v::detail
