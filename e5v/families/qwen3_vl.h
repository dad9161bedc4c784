#pragma once

#include <ATen/ATen.h>

#include "e5v/families/qwen3_vl_config.h"
#include "e5v/families/qwen3_vl_tower.h"
#include "e5v/model/llama.h"
#include "e5v/model/model.h"

namespace e5v::detail {

/// Qwen3-VL: features of pictures stand in the text at their cells' places, and those that
/// DeepStack takes from earlier layers of the tower are added behind the first layers of the
/// language model.
///
/// Shapes: T tokens in all, R of them stand for features, D the language model's hidden_size.
class Qwen3Vl final : public Model {
 public:
  /// Describes the model; its parameters have no memory until loaded.
  explicit Qwen3Vl(const Qwen3VlConfig& config);

  const Qwen3VlConfig& config() const { return config_; }

  void visit_parameters(ParameterVisitor& visitor) override;
  /// What published checkpoints hold beside them: the head.
  void visit_unneeded_parameters(ParameterVisitor& visitor);

  void set_recompute_layers(bool recompute) override {
    language_model_.set_recompute_layers(recompute);
  }
  at::Tensor forward(const PackedBatch& batch) const override;
  at::Tensor forward_tokens(const PackedBatch& batch, const at::Tensor& rows) const override;

  /// The last token's state of each sequence, [B, D] fp32; every layer computes every token and is
  /// shown to `observer`.
  at::Tensor forward_observed(const PackedBatch& batch, const Llama::Observer& observer) const;

  const Qwen3VlTower& visual() const { return visual_; }

 private:
  /// What the language model's layers take.
  struct Embedded {
    at::Tensor inputs_embeds;  // [T, D] fp32
    DeepStack deepstack;
  };
  Embedded embed(const PackedBatch& batch) const;

  Qwen3VlConfig config_;
  Qwen3VlTower visual_;
  Llama language_model_;
};

}  // namespace e5v::detail
