#pragma once

#include <ATen/ATen.h>

#include "e5v/model/packed_batch.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {

/// A multimodal language model that embeds: vision tower, projector, language model without its
/// head. Everything particular to its family is behind this interface and `Architecture`.
///
/// Shapes: T tokens in all, B sequences, D the language model's hidden_size.
///
/// `forward` may run concurrently once the parameters are loaded.
class Model {
 public:
  virtual ~Model() = default;

  /// Every parameter by its canonical name (weight_names.h).
  virtual void visit_parameters(ParameterVisitor& visitor) = 0;

  /// The state of each sequence's last token after the final norm, not normalised: [B, D] fp32 on
  /// the CPU. Tensors of the batch may be on any device. Throws InputError if the batch contradicts
  /// itself (`batch.images` against `pixel_values` and negative ids).
  virtual at::Tensor forward(const PackedBatch& batch) const = 0;

  /// The states of the tokens at `rows` [R] int64 instead: [R, D] fp32. What a language model's
  /// head takes.
  virtual at::Tensor forward_tokens(const PackedBatch& batch, const at::Tensor& rows) const = 0;

  /// Where gradients are recorded, keep only the layers' inputs and compute each layer again when
  /// its gradient is due.
  virtual void set_recompute_layers(bool recompute) = 0;

  /// Type of the operands of matrix products: fp32, bf16, or fp16 on CUDA.
  void set_compute_dtype(at::ScalarType dtype) { compute_dtype_ = dtype; }
  at::ScalarType compute_dtype() const { return compute_dtype_; }

  /// Where the parameters are.
  void set_device(at::Device device) { device_ = device; }
  at::Device device() const { return device_; }

 private:
  at::ScalarType compute_dtype_ = at::kFloat;
  at::Device device_ = at::kCPU;
};

}  // namespace e5v::detail
