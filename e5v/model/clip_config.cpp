#include "e5v/model/clip_config.h"

#include "e5v/model/config_fields.h"

namespace e5v::detail {
namespace {

/// A tower's config, also from the `…_config_dict` that old checkpoints repeat it in.
Json tower_config(const Json& json, const std::string& key) {
  const auto newest = find_field<Json>(json, key);
  if (newest && !newest->empty()) return *newest;
  return find_field<Json>(json, key + "_dict").value_or(Json::object());
}

}  // namespace

ClipTextConfig ClipTextConfig::from_json(const Json& json) {
  ClipTextConfig config;
  const auto read = [&](const char* key, int64_t& value) { value = field_or(json, key, value); };
  read("vocab_size", config.vocab_size);
  read("hidden_size", config.hidden_size);
  read("intermediate_size", config.intermediate_size);
  read("num_hidden_layers", config.num_hidden_layers);
  read("num_attention_heads", config.num_attention_heads);
  read("max_position_embeddings", config.max_position_embeddings);
  read("eos_token_id", config.eos_token_id);
  config.hidden_act = activation_from_name(field_or<std::string>(json, "hidden_act", "quick_gelu"));
  config.layer_norm_eps = field_or(json, "layer_norm_eps", config.layer_norm_eps);
  config.validate();
  return config;
}

void ClipTextConfig::validate() const {
  require_sizes({{"vocab_size", vocab_size},
                 {"hidden_size", hidden_size},
                 {"intermediate_size", intermediate_size},
                 {"num_hidden_layers", num_hidden_layers},
                 {"num_attention_heads", num_attention_heads},
                 {"max_position_embeddings", max_position_embeddings}});
  if (hidden_size % num_attention_heads != 0) {
    throw ConfigError(
        fmt::format("'hidden_size' ({}) is not a multiple of 'num_attention_heads' ({})",
                    hidden_size, num_attention_heads));
  }
  if (max_position_embeddings < 3) {
    throw ConfigError(
        fmt::format("'max_position_embeddings' is {}, expected room for a token "
                    "between the first and the last",
                    max_position_embeddings));
  }
}

ClipConfig ClipConfig::from_json(const Json& json) {
  const auto model_type = require_field<std::string>(json, "model_type");
  if (model_type != "clip") {
    throw ConfigError(
        fmt::format("model_type '{}' is not CLIP's, expected clip", printable(model_type)));
  }
  ClipConfig config;
  config.text = named_config<ClipTextConfig>("text_config", tower_config(json, "text_config"));
  config.vision = named_config<VisionConfig>("vision_config", tower_config(json, "vision_config"));
  config.projection_dim = field_or(json, "projection_dim", config.projection_dim);
  config.validate();
  return config;
}

ClipConfig ClipConfig::load(const std::filesystem::path& model_dir) {
  return read_config(model_dir, &ClipConfig::from_json);
}

void ClipConfig::validate() const {
  require_sizes({{"projection_dim", projection_dim}});
  if (vision.model_type != VisionConfig().model_type) {
    throw ConfigError(fmt::format("vision_config: model_type '{}' is not CLIP's, expected {}",
                                  vision.model_type, VisionConfig().model_type));
  }
}

}  // namespace e5v::detail
