#include "e5v/families/qwen3_vl.h"

#include <utility>

#include "e5v/model/splice.h"

namespace e5v::detail {

Qwen3Vl::Qwen3Vl(const Qwen3VlConfig& config)
    : config_(config), visual_(config.vision), language_model_(config.text) {}

void Qwen3Vl::visit_parameters(ParameterVisitor& visitor) {
  visitor.module("model.visual", visual_);
  visitor.module("model.language_model", language_model_);
  visitor.unused("lm_head.weight");
}

void Qwen3Vl::visit_unneeded_parameters(ParameterVisitor& visitor) {
  if (config_.text.tie_word_embeddings) return;
  at::Tensor lm_head;
  visitor.tensor("lm_head.weight", lm_head, {-1, config_.text.hidden_size});
}

Qwen3Vl::Embedded Qwen3Vl::embed(const PackedBatch& batch) const {
  const at::Tensor ids = batch.input_ids.to(device());
  if (batch.images.empty()) return {splice_features(language_model_, ids, {}), {}};
  Qwen3VlFeatures pictures =
      visual_.forward(batch.pixel_values.to(device()), batch.images, compute_dtype());
  return {splice_features(language_model_, ids, pictures.features),
          {feature_rows(ids), std::move(pictures.deepstack)}};
}

at::Tensor Qwen3Vl::forward(const PackedBatch& batch) const {
  return forward_observed(batch, nullptr);
}

at::Tensor Qwen3Vl::forward_observed(const PackedBatch& batch,
                                     const Llama::Observer& observer) const {
  const Embedded embedded = embed(batch);
  return language_model_
      .forward(embedded.inputs_embeds, batch.position_ids.to(device()), batch.cu_seqlens,
               compute_dtype(), observer, embedded.deepstack)
      .to(at::kCPU);
}

at::Tensor Qwen3Vl::forward_tokens(const PackedBatch& batch, const at::Tensor& rows) const {
  const Embedded embedded = embed(batch);
  return language_model_
      .forward_tokens(embedded.inputs_embeds, batch.position_ids.to(device()), batch.cu_seqlens,
                      compute_dtype(), rows, embedded.deepstack)
      .to(at::kCPU);
}

}  // namespace e5v::detail
