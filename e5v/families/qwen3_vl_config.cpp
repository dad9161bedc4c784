#include "e5v/families/qwen3_vl_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "e5v/model/config_fields.h"

namespace e5v::detail {
namespace {

/// Names every field of a variant that is not implemented, in one line.
void refuse_variants(const Json& text) {
  std::vector<std::string> fields;
  for (const char* key : {"num_experts", "num_local_experts", "moe_intermediate_size"}) {
    const auto found = text.find(key);
    if (found != text.end() && !found->is_null()) {
      fields.push_back(fmt::format("'{}' is {}", key, printable(found->dump(), 40)));
    }
  }
  if (!fields.empty()) {
    throw ConfigError(
        fmt::format("{}: a mixture of experts is not supported, expected a dense language model",
                    fmt::join(fields, ", ")));
  }
}

/// `text_config`, whose model_type and whether the head is the table stand above it.
TextConfig read_text(const Json& json) {
  Json text = sub_config(json, "text_config");
  const auto model_type = field_or<std::string>(text, "model_type", "qwen3_vl_text");
  if (model_type != "qwen3_vl_text" && model_type != "qwen3_vl_moe_text") {
    throw ConfigError(
        fmt::format("'model_type' is '{}', expected qwen3_vl_text", printable(model_type)));
  }
  refuse_variants(text);
  text["model_type"] = model_type;
  TextConfig config = TextConfig::from_json(text);
  config.tie_word_embeddings = field_or(json, "tie_word_embeddings", false);
  return config;
}

}  // namespace

int64_t Qwen3VlVisionConfig::positions_per_side() const {
  return static_cast<int64_t>(
      std::llround(std::sqrt(static_cast<double>(num_position_embeddings))));
}

Qwen3VlVisionConfig Qwen3VlVisionConfig::from_json(const Json& json) {
  const auto model_type = field_or<std::string>(json, "model_type", "qwen3_vl");
  if (model_type != "qwen3_vl" && model_type != "qwen3_vl_vision") {
    throw ConfigError(fmt::format("'model_type' is '{}', expected qwen3_vl or qwen3_vl_vision",
                                  printable(model_type)));
  }
  Qwen3VlVisionConfig config;
  const auto read = [&](const char* key, int64_t& value) { value = field_or(json, key, value); };
  read("depth", config.depth);
  read("hidden_size", config.hidden_size);
  read("intermediate_size", config.intermediate_size);
  read("num_heads", config.num_heads);
  read("patch_size", config.patch_size);
  read("temporal_patch_size", config.temporal_patch_size);
  read("spatial_merge_size", config.spatial_merge_size);
  read("out_hidden_size", config.out_hidden_size);
  read("num_position_embeddings", config.num_position_embeddings);
  config.deepstack_visual_indexes =
      field_or(json, "deepstack_visual_indexes", config.deepstack_visual_indexes);
  config.hidden_act =
      activation_from_name(field_or<std::string>(json, "hidden_act", "gelu_pytorch_tanh"));
  const auto in_channels = field_or<int64_t>(json, "in_channels", 3);
  if (in_channels != 3) {
    throw ConfigError(fmt::format("'in_channels' is {}, expected 3", in_channels));
  }
  const Json rope = sub_config(json, "rope_parameters");
  const auto rope_type = field_or<std::string>(rope, "rope_type", "axial");
  if (rope_type != "axial" && rope_type != "default") {
    throw ConfigError(
        fmt::format("'rope_parameters.rope_type' is '{}', expected axial", printable(rope_type)));
  }
  config.rope_theta = field_or(rope, "rope_theta", config.rope_theta);
  config.validate();
  return config;
}

void Qwen3VlVisionConfig::validate() const {
  require_sizes({{"depth", depth},
                 {"hidden_size", hidden_size},
                 {"intermediate_size", intermediate_size},
                 {"num_heads", num_heads},
                 {"patch_size", patch_size},
                 {"temporal_patch_size", temporal_patch_size},
                 {"spatial_merge_size", spatial_merge_size},
                 {"out_hidden_size", out_hidden_size},
                 {"num_position_embeddings", num_position_embeddings}});
  const std::pair<const char*, int64_t> small[] = {{"patch_size", patch_size},
                                                   {"temporal_patch_size", temporal_patch_size},
                                                   {"spatial_merge_size", spatial_merge_size}};
  constexpr int64_t kMaxSmallSize = 256;
  for (const auto& [name, value] : small) {
    if (value > kMaxSmallSize) {
      throw ConfigError(fmt::format("'{}' is {}, expected 1 to {}", name, value, kMaxSmallSize));
    }
  }
  // Half of a head turns by y and half by x, each in pairs.
  if (hidden_size % num_heads != 0 || head_dim() % 4 != 0) {
    throw ConfigError(
        fmt::format("'hidden_size' ({}) is not 'num_heads' ({}) times a multiple of 4", hidden_size,
                    num_heads));
  }
  const int64_t side = positions_per_side();
  if (side * side != num_position_embeddings) {
    throw ConfigError(fmt::format("'num_position_embeddings' is {}, expected a square number",
                                  num_position_embeddings));
  }
  int64_t least = 0;
  for (const int64_t layer : deepstack_visual_indexes) {
    if (layer < least || layer >= depth) {
      throw ConfigError(fmt::format(
          "'deepstack_visual_indexes' is [{}], expected rising numbers of the {} layers, from 0",
          fmt::join(deepstack_visual_indexes, ", "), depth));
    }
    least = layer + 1;
  }
  if (!(rope_theta > 0)) throw ConfigError("'rope_parameters.rope_theta' must be positive");
}

Qwen3VlConfig Qwen3VlConfig::from_json(const Json& json) {
  Qwen3VlConfig config;
  try {
    config.text = read_text(json);
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("text_config: {}", error.what()));
  }
  config.vision =
      named_config<Qwen3VlVisionConfig>("vision_config", sub_config(json, "vision_config"));
  config.image_token_id = field_or(json, "image_token_id", config.image_token_id);
  config.validate();
  return config;
}

void Qwen3VlConfig::validate() const {
  if (vision.out_hidden_size != text.hidden_size) {
    throw ConfigError(fmt::format(
        "'vision_config.out_hidden_size' is {}, expected the language model's hidden_size {}",
        vision.out_hidden_size, text.hidden_size));
  }
  const auto num_features = static_cast<int64_t>(vision.deepstack_visual_indexes.size());
  if (num_features > text.num_hidden_layers) {
    throw ConfigError(fmt::format(
        "'vision_config.deepstack_visual_indexes' has {} layers, but the language model only {}",
        num_features, text.num_hidden_layers));
  }
}

}  // namespace e5v::detail
