#include "e5v/families/llava_config.h"

#include "e5v/model/config_fields.h"
#include "e5v/model/vision_tower.h"

namespace e5v::detail {
namespace {

int64_t feature_layer_from_json(const Json& json) {
  const auto value = find_field<Json>(json, "vision_feature_layer");
  if (!value) return -2;
  if (value->is_array() && value->size() == 1 && value->front().is_number_integer()) {
    return value->front().get<int64_t>();
  }
  if (value->is_array()) {
    throw ConfigError("'vision_feature_layer' is a list, expected one layer's index");
  }
  return require_field<int64_t>(json, "vision_feature_layer");
}

std::vector<std::pair<int64_t, int64_t>> pinpoints_from_json(const Json& json) {
  const auto value = find_field<Json>(json, "image_grid_pinpoints");
  if (!value) return {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
  std::vector<std::pair<int64_t, int64_t>> pinpoints;
  const bool is_list = value->is_array() && !value->empty();
  for (const Json& point : is_list ? *value : Json::array({nullptr})) {
    const bool is_pair = point.is_array() && point.size() == 2 && point[0].is_number_integer() &&
                         point[1].is_number_integer();
    if (!is_pair) {
      throw ConfigError("'image_grid_pinpoints' must be a list of [height, width] in pixels");
    }
    pinpoints.emplace_back(point[0].get<int64_t>(), point[1].get<int64_t>());
  }
  return pinpoints;
}

/// CLIP ViT-L/14-336, which LLaVA takes where `vision_config` says nothing.
Json default_vision_config() {
  return {{"hidden_size", 1024},       {"intermediate_size", 4096}, {"num_hidden_layers", 24},
          {"num_attention_heads", 16}, {"image_size", 336},         {"patch_size", 14}};
}

}  // namespace

int64_t LlavaConfig::num_vision_layers() const {
  return vision_feature_layer >= 0 ? vision_feature_layer
                                   : vision.num_hidden_layers + 1 + vision_feature_layer;
}

const VisionTowerKind& LlavaConfig::vision_tower_kind() const {
  return detail::vision_tower_kind(vision.model_type);
}

VisionFeatures LlavaConfig::vision_features() const {
  return {.num_layers = num_vision_layers(), .keep_class_token = keep_class_token};
}

LlavaConfig LlavaConfig::from_json(const Json& json) {
  LlavaConfig config;
  const std::string model_type = require_field<std::string>(json, "model_type");
  if (model_type != "llava" && model_type != "llava_next") {
    throw ConfigError(fmt::format("model_type '{}' is not supported, expected llava_next or llava",
                                  printable(model_type)));
  }
  config.kind = model_type == "llava" ? Kind::kLlava : Kind::kLlavaNext;
  config.text = named_config<TextConfig>("text_config", sub_config(json, "text_config"));
  config.vision = named_config<VisionConfig>(
      "vision_config", find_field<Json>(json, "vision_config").value_or(default_vision_config()));
  config.image_token_index = field_or(json, "image_token_index", config.image_token_index);
  config.image_token_index = field_or(json, "image_token_id", config.image_token_index);
  config.vision_feature_layer = feature_layer_from_json(json);
  const auto strategy = field_or<std::string>(json, "vision_feature_select_strategy", "default");
  if (strategy != "default" && strategy != "full") {
    throw ConfigError(
        fmt::format("'vision_feature_select_strategy' is '{}', expected default or "
                    "full",
                    printable(strategy)));
  }
  const bool has_class_token = config.vision_tower_kind().has_class_token;
  if (!has_class_token && strategy == "default") {
    throw ConfigError(fmt::format(
        "'vision_feature_select_strategy' is 'default', which would drop a patch of a {} that has "
        "no class token; expected 'full'",
        config.vision.model_type));
  }
  config.keep_class_token = has_class_token && strategy == "full";
  config.projector_hidden_act =
      activation_from_name(field_or<std::string>(json, "projector_hidden_act", "gelu"));
  config.multimodal_projector_bias = field_or(json, "multimodal_projector_bias", true);
  if (config.kind == Kind::kLlavaNext) config.image_grid_pinpoints = pinpoints_from_json(json);
  config.validate();
  return config;
}

LlavaConfig LlavaConfig::load(const std::filesystem::path& model_dir) {
  return read_config(model_dir, &LlavaConfig::from_json);
}

void LlavaConfig::validate() const {
  if (num_vision_layers() < 1 || num_vision_layers() > vision.num_hidden_layers) {
    throw ConfigError(
        fmt::format("'vision_feature_layer' is {}, but the vision tower has {} layers",
                    vision_feature_layer, vision.num_hidden_layers));
  }
  if (kind == Kind::kLlavaNext && keep_class_token) {
    throw ConfigError(
        "'vision_feature_select_strategy' is 'full', which LLaVA-NeXT cannot arrange in a grid; "
        "expected 'default'");
  }
  for (const auto& [height, width] : image_grid_pinpoints) {
    const bool whole = height > 0 && width > 0 && height <= kMaxConfigSize &&
                       width <= kMaxConfigSize && height % vision.image_size == 0 &&
                       width % vision.image_size == 0;
    if (!whole) {
      throw ConfigError(
          fmt::format("'image_grid_pinpoints' has [{}, {}], expected multiples of the "
                      "tower's image_size {}",
                      height, width, vision.image_size));
    }
  }
}

}  // namespace e5v::detail
