#include "e5v/model/vit.h"

namespace e5v::detail {
namespace {

/// transformers' ViTModel, without its pooler.
std::unique_ptr<VisionTower> make(const VisionConfig& config, const VisionFeatures& features) {
  static const VitStyle style = {
      .class_embedding = "embeddings.cls_token",
      .class_embedding_shape = {1, 1},
      .patch_embedding = "embeddings.patch_embeddings.projection",
      .patch_bias = true,
      .position_embedding = "embeddings.position_embeddings",
      .position_embedding_shape = {1},
      .pre_norm = "",
      .layers = "encoder.layer",
      .layer = {.norm1 = "layernorm_before",
                .attention = "attention.attention",
                .query = "query",
                .key = "key",
                .value = "value",
                .attention_output = "attention.output.dense",
                .norm2 = "layernorm_after",
                .fc1 = "intermediate.dense",
                .fc2 = "output.dense"},
      .final_norm = "layernorm",
      .unused = {"embeddings.mask_token", "pooler."},
  };
  return std::make_unique<Vit>(style, config, features);
}

}  // namespace

const VisionTowerKind& vit_vision_tower() {
  static const VisionTowerKind kind = {
      .title = "ViT",
      .prefix = "",
      .has_class_token = true,
      .drops_partial_patches = false,
      .defaults = {.model_type = "vit",
                   .patch_size = 16,
                   .hidden_act = Activation::kGelu,
                   .layer_norm_eps = 1e-12},
      .make = make,
  };
  return kind;
}

}  // namespace e5v::detail
