#include "e5v/model/vision_tower.h"

#include "e5v/base/error.h"

namespace e5v {

VisionTower::VisionTower(const LlavaConfig& config)
    : config_(config.vision),
      keep_class_token_(config.keep_class_token),
      num_unused_layers_(config.vision.num_hidden_layers - config.num_vision_layers()),
      patch_embedding_(3 * config_.patch_size * config_.patch_size, config_.hidden_size, false),
      pre_layrnorm_(config_.hidden_size, config_.layer_norm_eps) {
  for (int64_t i = 0; i < config.num_vision_layers(); ++i) {
    layers_.emplace_back(ClipLayerConfig{.hidden_size = config_.hidden_size,
                                         .intermediate_size = config_.intermediate_size,
                                         .num_attention_heads = config_.num_attention_heads,
                                         .hidden_act = config_.hidden_act,
                                         .layer_norm_eps = config_.layer_norm_eps});
  }
  patch_embedding_.set_checkpoint_shape(
      {config_.hidden_size, 3, config_.patch_size, config_.patch_size});
}

void VisionTower::visit_parameters(ParameterVisitor& visitor) {
  const int64_t D = config_.hidden_size;
  visitor.tensor(visitor.full_name("embeddings.class_embedding"), class_embedding_, {D});
  visitor.linear(visitor.full_name("embeddings.patch_embedding"), patch_embedding_);
  visitor.tensor(visitor.full_name("embeddings.position_embedding.weight"), position_embedding_,
                 {1 + config_.num_patches(), D});
  visitor.unused(visitor.full_name("embeddings.position_ids"));
  visitor.module("pre_layrnorm", pre_layrnorm_);
  visitor.modules("encoder.layers", layers_);
  for (int64_t i = 0; i < num_unused_layers_; ++i) {
    const int64_t layer = static_cast<int64_t>(layers_.size()) + i;
    visitor.unused(visitor.full_name(fmt::format("encoder.layers.{}.", layer)));
  }
}

at::Tensor VisionTower::embed_patches(const at::Tensor& pixel_values,
                                      at::ScalarType compute_dtype) const {
  const int64_t N = pixel_values.size(0), side = config_.patches_per_side(), p = config_.patch_size;
  const at::Tensor patches = pixel_values.reshape({N, 3, side, p, side, p})
                                 .permute({0, 2, 4, 1, 3, 5})
                                 .reshape({N * side * side, 3 * p * p})
                                 .to(compute_dtype);
  const at::Tensor features =
      patch_embedding_.forward(patches).view({N, side * side, config_.hidden_size});
  const at::Tensor class_token = class_embedding_.expand({N, 1, config_.hidden_size});
  return at::cat({class_token, features}, 1) + position_embedding_;  // [N, 1 + patches, D]
}

at::Tensor VisionTower::forward(const at::Tensor& pixel_values,
                                at::ScalarType compute_dtype) const {
  const int64_t S = config_.image_size;
  if (pixel_values.dim() != 4 || pixel_values.sizes().slice(1) != at::IntArrayRef({3, S, S})) {
    throw InputError(fmt::format("pixel_values must be [N, 3, {}, {}]", S, S));
  }
  const int64_t N = pixel_values.size(0), L = 1 + config_.num_patches(), D = config_.hidden_size;
  at::Tensor x = pre_layrnorm_.forward(embed_patches(pixel_values, compute_dtype)).view({N * L, D});
  const at::Tensor cu_seqlens = at::arange(0, (N + 1) * L, L, at::kInt);
  for (const ClipEncoderLayer& layer : layers_) x = layer.forward(x, cu_seqlens, compute_dtype);
  x = x.view({N, L, D});
  return keep_class_token_ ? x : x.slice(1, 1);
}

}  // namespace e5v
