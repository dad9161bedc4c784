#pragma once

#include <ATen/ATen.h>

#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {

/// y = x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed in float32
/// (Zhang & Sennrich 2019; `LlamaRMSNorm` of transformers).
class RMSNorm {
 public:
  RMSNorm() = default;
  RMSNorm(int64_t hidden_size, double eps) : hidden_size_(hidden_size), eps_(eps) {}

  void visit_parameters(ParameterVisitor& visitor);

  /// x [T, D] fp32 -> [T, D] of `out_dtype`.
  at::Tensor forward(const at::Tensor& x, at::ScalarType out_dtype = at::kFloat) const;

 private:
  int64_t hidden_size_ = 0;
  double eps_ = 0;
  at::Tensor weight_;  // [D] fp32
};

/// y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension, in float32.
class LayerNorm {
 public:
  LayerNorm() = default;
  LayerNorm(int64_t hidden_size, double eps) : hidden_size_(hidden_size), eps_(eps) {}

  void visit_parameters(ParameterVisitor& visitor);

  /// x [T, D] fp32 -> [T, D] of `out_dtype`.
  at::Tensor forward(const at::Tensor& x, at::ScalarType out_dtype = at::kFloat) const;

 private:
  int64_t hidden_size_ = 0;
  double eps_ = 0;
  at::Tensor weight_, bias_;  // [D] fp32
};

}  // namespace e5v::detail
