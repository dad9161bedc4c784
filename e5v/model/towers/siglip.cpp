#include "e5v/model/vit.h"

namespace e5v::detail {
namespace {

/// transformers' SiglipVisionModel, without its pooling head.
std::unique_ptr<VisionTower> make(const VisionConfig& config, const VisionFeatures& features) {
  static const VitStyle style = {
      .class_embedding = "",
      .class_embedding_shape = {},
      .patch_embedding = "embeddings.patch_embedding",
      .patch_bias = true,
      .position_embedding = "embeddings.position_embedding.weight",
      .position_embedding_shape = {},
      .pre_norm = "",
      .layers = "encoder.layers",
      .layer = {},
      .final_norm = "post_layernorm",
      .unused = {"embeddings.position_ids", "head."},
  };
  return std::make_unique<Vit>(style, config, features);
}

}  // namespace

const VisionTowerKind& siglip_vision_tower() {
  static const VisionTowerKind kind = {
      .title = "SigLIP ViT",
      .prefix = "vision_model.",
      .has_class_token = false,
      .drops_partial_patches = true,
      .defaults = {.model_type = "siglip_vision_model",
                   .patch_size = 16,
                   .hidden_act = Activation::kGeluTanh,
                   .layer_norm_eps = 1e-6},
      .make = make,
  };
  return kind;
}

}  // namespace e5v::detail
