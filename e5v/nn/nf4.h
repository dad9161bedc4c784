#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "e5v/nn/linear.h"

namespace e5v::detail {

/// Consecutive values that share one scale.
constexpr int64_t kNf4Block = 64;
/// Consecutive scales that share one scale of their own ("double quantisation").
constexpr int64_t kNf4NestedBlock = 256;

/// The 16 values of NF4: quantiles of the normal distribution, from -1 to 1, ascending
/// (Dettmers et al. 2023, appendix E).
const std::array<float, 16>& nf4_values();

/// The 256 values, from about -1 to 1, ascending, between which the scales are rounded:
/// bitsandbytes' "dynamic" 8-bit data type, in which the number of leading zeros chooses the
/// exponent.
const std::array<float, 256>& dynamic_values();

/// A tensor in NF4 with double quantisation, as bitsandbytes lays it out: 4.127 bits a value.
/// Value i is nf4_values()[code i] * s, where its block's scale s is
/// dynamic_values()[absmax[i / 64]] * nested_absmax[i / 64 / 256] + offset.
struct Nf4Tensor {
  at::Tensor codes;          ///< [(N + 1) / 2] uint8: value 2i in the high half of byte i
  at::Tensor absmax;         ///< [N / 64, rounded up] uint8
  at::Tensor nested_absmax;  ///< [blocks / 256, rounded up] float32
  float offset = 0;          ///< mean of the blocks' largest magnitudes
  std::vector<int64_t> shape;

  int64_t num_bytes() const;
};

/// Rounds a floating-point tensor to NF4, row-major. Differs from bitsandbytes in one case: a block
/// of zeros stays zeros (there 0/0 makes it the block's lowest value). Throws InputError if
/// `weight` holds a value that is not finite.
Nf4Tensor quantize_nf4(const at::Tensor& weight);

/// The values as float32 or bfloat16, of the tensor's shape.
at::Tensor dequantize_nf4(const Nf4Tensor& tensor, at::ScalarType dtype);

/// A frozen weight in NF4 (QLoRA): widened to the operand's type block by block for each product
/// and dropped again, in the forward as in the backward direction. Differentiable in x; the weight
/// has no gradient.
class Nf4Storage final : public LinearStorage {
 public:
  /// weight [out, in].
  explicit Nf4Storage(const at::Tensor& weight);
  /// A weight whose rows are those of `parts`, [out, in] each with one `in`, end to end.
  explicit Nf4Storage(std::vector<Nf4Tensor> parts);

  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override;
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override;
  at::Tensor input_gradient(const at::Tensor& dy) const override;
  at::Tensor dense() const override;
  int64_t num_bytes() const override;

 private:
  std::shared_ptr<const std::vector<Nf4Tensor>> parts_;
};

}  // namespace e5v::detail
