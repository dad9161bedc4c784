#pragma once

#include <cstdint>
#include <string>

#include "e5v/base/json.h"
#include "e5v/nn/activation.h"

namespace e5v::detail {

/// `vision_config` of a config.json: a ViT over pictures of one size. Absent fields take the
/// defaults that transformers has for `model_type`.
struct VisionConfig {
  std::string model_type = "clip_vision_model";
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t num_channels = 3;
  int64_t image_size = 224;  ///< pixels
  int64_t patch_size = 32;   ///< pixels
  Activation hidden_act = Activation::kQuickGelu;
  double layer_norm_eps = 1e-5;
  bool qkv_bias = true;

  int64_t patches_per_side() const { return image_size / patch_size; }
  int64_t num_patches() const { return patches_per_side() * patches_per_side(); }

  /// Throws ConfigError, also for a `model_type` that no tower has (vision_tower.h).
  static VisionConfig from_json(const Json& json);
  void validate() const;
};

}  // namespace e5v::detail
