#include "e5v/model/vit.h"

namespace e5v::detail {
namespace {

/// transformers' CLIPVisionModel.
std::unique_ptr<VisionTower> make(const VisionConfig& config, const VisionFeatures& features) {
  static const VitStyle style = {
      .class_embedding = "embeddings.class_embedding",
      .class_embedding_shape = {},
      .patch_embedding = "embeddings.patch_embedding",
      .patch_bias = false,
      .position_embedding = "embeddings.position_embedding.weight",
      .position_embedding_shape = {},
      .pre_norm = "pre_layrnorm",  // sic: the checkpoint's spelling
      .layers = "encoder.layers",
      .layer = {},
      .final_norm = "post_layernorm",
      .unused = {"embeddings.position_ids"},
  };
  return std::make_unique<Vit>(style, config, features);
}

}  // namespace

const VisionTowerKind& clip_vision_tower() {
  static const VisionTowerKind kind = {
      .title = "CLIP ViT",
      .prefix = "vision_model.",
      .has_class_token = true,
      .drops_partial_patches = false,
      .defaults = {},
      .make = make,
  };
  return kind;
}

}  // namespace e5v::detail
