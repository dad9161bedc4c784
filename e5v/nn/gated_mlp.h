#pragma once

#include "e5v/nn/activation.h"
#include "e5v/nn/fused_linear.h"

namespace e5v::detail {

/// down(act(gate(x)) · up(x)), the feed-forward part of Llama.
class GatedMlp {
 public:
  GatedMlp() = default;
  GatedMlp(int64_t hidden_size, int64_t intermediate_size, bool has_bias, Activation activation);

  void visit_parameters(ParameterVisitor& visitor);

  /// residual + mlp(x); residual [T, D] fp32 (overwritten where no gradient is recorded), x [T, D]
  /// in the dtype of the products.
  at::Tensor add_to(const at::Tensor& residual, const at::Tensor& x) const;

 private:
  /// act(gate(x)) · up(x), [T, I] in x's dtype.
  at::Tensor gated(const at::Tensor& x) const;
  /// The same for SiLU: one product and one pass without gradient, else an own backward.
  at::Tensor gated_silu(const at::Tensor& x) const;
  at::Tensor gated_silu_recorded(const at::Tensor& x) const;

  Activation activation_ = Activation::kSilu;
  FusedLinear gate_up_proj_;  // gate_proj, up_proj
  Linear down_proj_;
};

}  // namespace e5v::detail
