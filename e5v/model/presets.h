#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"

namespace e5v {

/// A model's shape, in the form of the files that state it in a checkpoint folder.
struct ModelPreset {
  std::string name;
  /// config.json as transformers 4.41 publishes it, but for `torch_dtype`.
  Json config;
  /// Tokens before the 256 control tokens, `<image>` and `<pad>` (preset_tokenizer.h); 0: the
  /// tokenizer has a world's words (word_tokenizer.h, of CLIP clip_word_tokenizer.h), and
  /// `vocab_size` is set by them.
  int64_t num_text_tokens;
  /// Weights are drawn so that the model can be trained from nothing: embeddings as large as what
  /// the layers add to them, and what L layers add to the residual stream scaled by (2 L)^-1/2.
  bool for_training = false;

  /// Whether it is a CLIP, else a LLaVA.
  bool is_clip() const { return config.at("model_type") == "clip"; }
};

/// "shapes-mini": a LLaVA-1.5 of 48 x 48 pixels, to be trained from nothing on the world of shapes.
/// "shapes-mini-clip": a CLIP of the same size, likewise.
/// "tiny": two layers and small pictures, for tests and demonstrations.
/// "1b": a language model of 1.04 G parameters (TinyLlama's shape) with CLIP ViT-L/14-336.
/// "e5v-8b": E5-V itself, Llama-3-8B with CLIP ViT-L/14-336.
const std::vector<std::string>& preset_names();

/// Throws ConfigError for a name that is not among preset_names.
ModelPreset model_preset(std::string_view name);

/// preprocessor_config.json for a config.json: of LLaVA-NeXT, tiles of its vision tower's size, cut
/// by its pinpoints, normalised as CLIP does; of LLaVA-1.5 and CLIP one such tile, from -1 to 1.
Json preprocessor_config_for(const Json& config);

/// processor_config.json: what the reference needs to count an image's tokens.
Json processor_config_for(const Json& config);

}  // namespace e5v
