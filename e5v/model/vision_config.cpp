#include "e5v/model/vision_config.h"

#include "e5v/model/config_fields.h"
#include "e5v/model/vision_tower.h"

namespace e5v::detail {

VisionConfig VisionConfig::from_json(const Json& json) {
  const auto model_type = field_or<std::string>(json, "model_type", VisionConfig().model_type);
  VisionConfig config = vision_tower_kind(model_type).defaults;
  const auto read = [&](const char* key, int64_t& value) { value = field_or(json, key, value); };
  read("hidden_size", config.hidden_size);
  read("intermediate_size", config.intermediate_size);
  read("num_hidden_layers", config.num_hidden_layers);
  read("num_attention_heads", config.num_attention_heads);
  read("num_channels", config.num_channels);
  read("image_size", config.image_size);
  read("patch_size", config.patch_size);
  if (const auto name = find_field<std::string>(json, "hidden_act")) {
    config.hidden_act = activation_from_name(*name);
  }
  config.layer_norm_eps = field_or(json, "layer_norm_eps", config.layer_norm_eps);
  config.qkv_bias = field_or(json, "qkv_bias", config.qkv_bias);
  config.validate();
  return config;
}

void VisionConfig::validate() const {
  require_sizes({{"hidden_size", hidden_size},
                 {"intermediate_size", intermediate_size},
                 {"num_hidden_layers", num_hidden_layers},
                 {"num_attention_heads", num_attention_heads},
                 {"image_size", image_size},
                 {"patch_size", patch_size}});
  if (num_channels != 3) {
    throw ConfigError(fmt::format("'num_channels' is {}, expected 3", num_channels));
  }
  if (hidden_size % num_attention_heads != 0) {
    throw ConfigError(
        fmt::format("'hidden_size' ({}) is not a multiple of 'num_attention_heads' "
                    "({})",
                    hidden_size, num_attention_heads));
  }
  if (image_size % patch_size != 0 && !vision_tower_kind(model_type).drops_partial_patches) {
    throw ConfigError(fmt::format("'image_size' ({}) is not a multiple of 'patch_size' ({})",
                                  image_size, patch_size));
  }
}

}  // namespace e5v::detail
