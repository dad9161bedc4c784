#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "e5v/base/json.h"
#include "e5v/nn/activation.h"
#include "e5v/nn/rope_scaling.h"

namespace e5v::detail {

/// `text_config` of a config.json: a Llama-shaped decoder (llama, mistral, qwen2, qwen3_vl_text).
/// Absent fields take the defaults that transformers has for `model_type`.
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
  std::optional<MultimodalRope> multimodal_rope;
  Activation hidden_act = Activation::kSilu;
  bool qkv_bias = false;     ///< `attention_bias`, or always for qwen2
  bool output_bias = false;  ///< `attention_bias` of llama
  bool mlp_bias = false;
  bool qk_norm = false;  ///< an RMSNorm of each head's query and key before they are rotated
  bool tie_word_embeddings = false;

  /// One line for people.
  std::string describe() const;

  static TextConfig from_json(const Json& json);
  /// Throws ConfigError where values contradict each other.
  void validate() const;
};

}  // namespace e5v::detail
