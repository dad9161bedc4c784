#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/model/text_config.h"
#include "e5v/nn/activation.h"

namespace e5v::detail {

/// `vision_config` of a Qwen3-VL: a ViT over pictures of any size. Absent fields take the defaults
/// of transformers.
struct Qwen3VlVisionConfig {
  int64_t depth = 27;  ///< layers
  int64_t hidden_size = 1152;
  int64_t intermediate_size = 4304;
  int64_t num_heads = 16;
  int64_t patch_size = 16;  ///< pixels
  int64_t temporal_patch_size = 2;
  int64_t spatial_merge_size = 2;  ///< patches a side of a cell, which becomes one token
  int64_t out_hidden_size = 3584;  ///< the language model's hidden_size
  int64_t num_position_embeddings = 2304;
  /// Layers, counted from 0, whose states become DeepStack features.
  std::vector<int64_t> deepstack_visual_indexes = {8, 16, 24};
  Activation hidden_act = Activation::kGeluTanh;
  double rope_theta = 10000;

  int64_t head_dim() const { return hidden_size / num_heads; }
  /// Values of one row of pixel_values.
  int64_t patch_values() const { return 3 * temporal_patch_size * patch_size * patch_size; }
  int64_t patches_per_cell() const { return spatial_merge_size * spatial_merge_size; }
  /// Of the square table of position embeddings.
  int64_t positions_per_side() const;

  static Qwen3VlVisionConfig from_json(const Json& json);
  void validate() const;
};

/// config.json of a Qwen3-VL or Qwen3-VL-Embedding checkpoint, of transformers 4.57 to 5.x.
struct Qwen3VlConfig {
  TextConfig text;
  Qwen3VlVisionConfig vision;
  int64_t image_token_id = 151655;

  /// Throws ConfigError, also for what this family has and this program not: experts, other rotary
  /// scalings.
  static Qwen3VlConfig from_json(const Json& json);
  void validate() const;
};

}  // namespace e5v::detail
