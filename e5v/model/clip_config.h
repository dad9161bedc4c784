#pragma once

#include <cstdint>
#include <filesystem>

#include "e5v/base/json.h"
#include "e5v/model/vision_config.h"

namespace e5v::detail {

/// `text_config` of a CLIP config.json.
struct ClipTextConfig {
  int64_t vocab_size = 49408;
  int64_t hidden_size = 512;
  int64_t intermediate_size = 2048;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 8;
  int64_t max_position_embeddings = 77;  ///< tokens of a text at the most
  Activation hidden_act = Activation::kQuickGelu;
  double layer_norm_eps = 1e-5;
  /// Whose first state stands for the text. 2, which configs published before transformers 4.31
  /// have, is no token but means: the largest id of the text.
  int64_t eos_token_id = 49407;

  static ClipTextConfig from_json(const Json& json);
  void validate() const;
};

/// config.json of a CLIP checkpoint: two towers and the width of their common space. Absent fields
/// have transformers' defaults (ViT-B/32).
struct ClipConfig {
  ClipTextConfig text;
  VisionConfig vision;
  int64_t projection_dim = 512;

  static ClipConfig from_json(const Json& json);
  /// Reads DIR/config.json; errors name the file.
  static ClipConfig load(const std::filesystem::path& model_dir);
  void validate() const;
};

}  // namespace e5v::detail
