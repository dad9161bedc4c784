#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/checkpoint/weight_names.h"

namespace e5v::detail {

class ParameterVisitor;

/// A model's shape, in the form of the files that state it in a checkpoint folder.
struct ModelPreset {
  struct Tokenizer {
    Json json;    ///< tokenizer.json
    Json config;  ///< tokenizer_config.json
  };

  std::string name;
  /// config.json as transformers 4.41 publishes it, but for `torch_dtype`.
  Json config;
  Json preprocessor_config;
  Json processor_config;      ///< null: there is no such file
  std::string chat_template;  ///< chat_template.jinja; empty: there is no such file
  /// Its tokens are a world's words, which make_tokenizer takes; else it takes none.
  bool has_words_as_tokens = false;
  std::function<Tokenizer(const std::vector<std::string>& words)> make_tokenizer;
  /// Sets what of the config depends on the number of tokens, beside `vocab_size`; may be null.
  std::function<void(Json& config, size_t num_tokens)> set_num_tokens;

  /// Every tensor of a published checkpoint of that config, those that embedding does not need
  /// last, under names of `weight_names`.
  std::function<void(const Json& config, ParameterVisitor& visitor)> visit_published;
  WeightNames weight_names;
  /// Tensors that are not drawn.
  std::map<std::string, float> constants;
  /// Weights are drawn so that the model can be trained from nothing: embeddings as large as what
  /// the layers add to them, and what L layers add to the residual stream scaled by (2 L)^-1/2.
  bool for_training = false;
};

/// "tiny": two layers and small pictures, for tests and demonstrations.
/// "1b": a language model of 1.04 G parameters (TinyLlama's shape) with CLIP ViT-L/14-336.
/// "e5v-8b": E5-V itself, Llama-3-8B with CLIP ViT-L/14-336.
/// "shapes-mini": a LLaVA-1.5 of 48 x 48 pixels, to be trained from nothing on the world of shapes.
std::vector<ModelPreset> llava_presets();

/// "shapes-mini-clip": a CLIP of the same size, likewise.
std::vector<ModelPreset> clip_presets();

/// "qwen3-vl-2b", "qwen3-vl-8b": Qwen3-VL-Embedding of that size.
/// "qwen3-vl-tiny": four layers, for tests and demonstrations.
std::vector<ModelPreset> qwen3_vl_presets();

/// preprocessor_config.json for pictures that become one tile of the tower's size: not resized
/// where they have it, pixels from -1 to 1.
Json one_tile_preprocessor_config(const Json& config, std::string_view processor_class);

/// Names of all presets, in the order of the families.
std::vector<std::string> preset_names();

/// Throws ConfigError for a name that is not among preset_names.
ModelPreset model_preset(std::string_view name);

}  // namespace e5v::detail
