#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>

#include "e5v/nn/keyed_dropout.h"
#include "e5v/nn/linear.h"

namespace e5v::detail {

/// A frozen weight and a trained low-rank update: x W^T + scale · dropout(x) A^T B^T
/// (Hu et al. 2021).
class LoraStorage final : public LinearStorage {
 public:
  /// A [rank, in] and B [out, rank], float32: the master weights, multiplied in the operand's type;
  /// they get gradients, `base` has none. The storage must outlive its products' backward.
  /// `dropout` may be null; `module` is this layer's number in it.
  LoraStorage(std::unique_ptr<LinearStorage> base, at::Tensor A, at::Tensor B, double scale,
              std::shared_ptr<const KeyedDropout> dropout, uint64_t module);

  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override;
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override;
  /// With the update merged, float32.
  at::Tensor dense() const override;
  int64_t num_bytes() const override;

 private:
  KeyedDropout::Mask mask_for(const at::Tensor& x) const {
    return dropout_ ? dropout_->mask(x.size(0), module_) : KeyedDropout::Mask();
  }
  /// dropout(x) A^T, [T, rank], and scale · `reduced` B^T, [T, out], both in the operand's type.
  at::Tensor reduce(const at::Tensor& x, const KeyedDropout::Mask& mask) const;
  at::Tensor widen(const at::Tensor& reduced) const;

  std::unique_ptr<LinearStorage> base_;
  at::Tensor A_, B_;
  double scale_;
  std::shared_ptr<const KeyedDropout> dropout_;
  uint64_t module_;
};

}  // namespace e5v::detail
