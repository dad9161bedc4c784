#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/nn/activation.h"
#include "e5v/nn/rotary.h"

namespace e5v {

/// `text_config` of a config.json: a Llama-shaped decoder (llama, mistral, qwen2). Absent fields
/// take the defaults that transformers has for `model_type`.
struct TextConfig {
  std::string model_type = "llama";
  int64_t vocab_size = 32000;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 32;
  int64_t head_dim = 128;
  /// The longest sequence, in tokens. A sliding window shorter than that lowers it: windowed
  /// attention is not implemented, and equals full attention up to the window.
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  std::optional<RopeScaling> rope_scaling;
  Activation hidden_act = Activation::kSilu;
  bool qkv_bias = false;     ///< `attention_bias`, or always for qwen2
  bool output_bias = false;  ///< `attention_bias` of llama
  bool mlp_bias = false;
  bool tie_word_embeddings = false;

  static TextConfig from_json(const Json& json);
  /// Throws ConfigError where values contradict each other.
  void validate() const;
};

/// `vision_config` of a config.json: a CLIP ViT.
struct VisionConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t num_channels = 3;
  int64_t image_size = 224;  ///< pixels
  int64_t patch_size = 32;   ///< pixels
  Activation hidden_act = Activation::kQuickGelu;
  double layer_norm_eps = 1e-5;

  int64_t patches_per_side() const { return image_size / patch_size; }
  int64_t num_patches() const { return patches_per_side() * patches_per_side(); }

  static VisionConfig from_json(const Json& json);
  void validate() const;
};

/// config.json of a LLaVA-1.5 or LLaVA-NeXT checkpoint, of transformers 4.39 to 5.x.
struct LlavaConfig {
  enum class Kind { kLlava, kLlavaNext };
  Kind kind = Kind::kLlavaNext;
  TextConfig text;
  VisionConfig vision;
  /// Id of the `<image>` placeholder; may lie outside the embedding table.
  int64_t image_token_index = 32000;
  /// [height, width] in pixels; empty for LLaVA-1.5.
  std::vector<std::pair<int64_t, int64_t>> image_grid_pinpoints;
  /// Index into the tower's hidden states (0 = embeddings); negative counts from the end.
  int64_t vision_feature_layer = -2;
  /// `vision_feature_select_strategy`: "default" drops the class token, "full" keeps it.
  bool keep_class_token = false;
  Activation projector_hidden_act = Activation::kGelu;
  bool multimodal_projector_bias = true;

  /// Number of encoder layers that the chosen feature layer needs.
  int64_t num_vision_layers() const;
  /// Feature vectors that one tile gives.
  int64_t features_per_tile() const { return vision.num_patches() + (keep_class_token ? 1 : 0); }

  static LlavaConfig from_json(const Json& json);
  /// Reads DIR/config.json; errors name the file.
  static LlavaConfig load(const std::filesystem::path& model_dir);
  void validate() const;
};

}  // namespace e5v
