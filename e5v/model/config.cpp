#include "e5v/model/config.h"

#include <algorithm>
#include <limits>

namespace e5v {
namespace {

/// Sizes beyond this are a broken file, not a model; products of two stay far from overflow.
constexpr int64_t kMaxSize = int64_t{1} << 28;

void require_sizes(std::initializer_list<std::pair<const char*, int64_t>> sizes) {
  for (const auto& [name, value] : sizes) {
    if (value < 1 || value > kMaxSize) {
      throw ConfigError(fmt::format("'{}' is {}, expected 1 to {}", name, value, kMaxSize));
    }
  }
}

/// transformers' defaults of the text models, where they differ from Llama's.
TextConfig text_defaults(const std::string& model_type) {
  TextConfig config;
  config.model_type = model_type;
  if (model_type == "llama") return config;
  if (model_type == "mistral") {
    config.intermediate_size = 14336;
    config.num_key_value_heads = 8;
    config.max_position_embeddings = 4096 * 32;
    return config;
  }
  if (model_type == "qwen2") {
    config.vocab_size = 151936;
    config.intermediate_size = 22016;
    config.max_position_embeddings = 32768;
    config.qkv_bias = true;
    return config;
  }
  throw ConfigError(
      fmt::format("text_config.model_type '{}' is not supported, expected llama, mistral or qwen2",
                  printable(model_type)));
}

std::optional<RopeScaling> rope_scaling_from_json(const Json& json) {
  const std::string kind = find_field<std::string>(json, "rope_type")
                               .value_or(find_field<std::string>(json, "type").value_or("default"));
  if (kind == "default") return std::nullopt;
  RopeScaling scaling;
  scaling.factor = require_field<double>(json, "factor");
  if (!(scaling.factor > 0)) throw ConfigError("'rope_scaling.factor' must be positive");
  if (kind == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
    return scaling;
  }
  if (kind == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.low_freq_factor = require_field<double>(json, "low_freq_factor");
    scaling.high_freq_factor = require_field<double>(json, "high_freq_factor");
    scaling.original_max_position_embeddings =
        require_field<int64_t>(json, "original_max_position_embeddings");
    if (!(scaling.high_freq_factor > scaling.low_freq_factor)) {
      throw ConfigError("'rope_scaling.high_freq_factor' must exceed 'low_freq_factor'");
    }
    return scaling;
  }
  throw ConfigError(fmt::format(
      "rope scaling '{}' is not supported, expected default, linear or llama3", printable(kind)));
}

/// Up to 4.x: `rope_theta` and `rope_scaling`; 5.x: both inside `rope_parameters`.
void read_rope(const Json& json, TextConfig& config) {
  config.rope_theta = field_or(json, "rope_theta", config.rope_theta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto rope = find_field<Json>(json, key);
    if (!rope) continue;
    if (!rope->is_object()) throw ConfigError(fmt::format("'{}' is not an object", key));
    config.rope_theta = field_or(*rope, "rope_theta", config.rope_theta);
    config.rope_scaling = rope_scaling_from_json(*rope);
  }
  if (!(config.rope_theta > 0)) throw ConfigError("'rope_theta' must be positive");
}

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

/// The part of a config that `key` names, an empty object where absent.
Json sub_config(const Json& json, const char* key) {
  return find_field<Json>(json, key).value_or(Json::object());
}

/// CLIP ViT-L/14-336, which LLaVA takes where `vision_config` says nothing.
Json default_vision_config() {
  return {{"hidden_size", 1024},       {"intermediate_size", 4096}, {"num_hidden_layers", 24},
          {"num_attention_heads", 16}, {"image_size", 336},         {"patch_size", 14}};
}

template <class Config>
Config named(const char* part, const Json& json) try {
  return Config::from_json(json);
} catch (const ConfigError& error) {
  throw ConfigError(fmt::format("{}: {}", part, error.what()));
}

}  // namespace

TextConfig TextConfig::from_json(const Json& json) {
  TextConfig config = text_defaults(field_or<std::string>(json, "model_type", "llama"));
  const auto read = [&](const char* key, int64_t& value) { value = field_or(json, key, value); };
  read("vocab_size", config.vocab_size);
  read("hidden_size", config.hidden_size);
  read("intermediate_size", config.intermediate_size);
  read("num_hidden_layers", config.num_hidden_layers);
  read("num_attention_heads", config.num_attention_heads);
  read("max_position_embeddings", config.max_position_embeddings);
  // mistral's default of 8 key-value heads does not follow the number of heads; llama's does.
  config.num_key_value_heads = field_or(
      json, "num_key_value_heads",
      config.model_type == "mistral" ? config.num_key_value_heads : config.num_attention_heads);
  require_sizes(
      {{"hidden_size", config.hidden_size}, {"num_attention_heads", config.num_attention_heads}});
  config.head_dim = field_or(json, "head_dim", config.hidden_size / config.num_attention_heads);
  config.rms_norm_eps = field_or(json, "rms_norm_eps", config.rms_norm_eps);
  config.hidden_act = activation_from_name(field_or<std::string>(json, "hidden_act", "silu"));
  config.tie_word_embeddings = field_or(json, "tie_word_embeddings", false);
  if (config.model_type == "llama") {
    config.qkv_bias = config.output_bias = field_or(json, "attention_bias", false);
    config.mlp_bias = field_or(json, "mlp_bias", false);
  }
  const bool has_window =
      config.model_type == "mistral" || field_or(json, "use_sliding_window", false);
  if (has_window) {
    const bool absent = !json.contains("sliding_window");
    const int64_t window = absent ? 4096 : field_or<int64_t>(json, "sliding_window", kMaxSize);
    config.max_position_embeddings = std::min(config.max_position_embeddings, window);
  }
  read_rope(json, config);
  config.validate();
  return config;
}

void TextConfig::validate() const {
  require_sizes({{"vocab_size", vocab_size},
                 {"hidden_size", hidden_size},
                 {"intermediate_size", intermediate_size},
                 {"num_hidden_layers", num_hidden_layers},
                 {"num_attention_heads", num_attention_heads},
                 {"num_key_value_heads", num_key_value_heads},
                 {"head_dim", head_dim},
                 {"max_position_embeddings", max_position_embeddings}});
  if (num_attention_heads % num_key_value_heads != 0) {
    throw ConfigError(
        fmt::format("'num_attention_heads' ({}) is not a multiple of "
                    "'num_key_value_heads' ({})",
                    num_attention_heads, num_key_value_heads));
  }
  if (head_dim % 2 != 0) throw ConfigError(fmt::format("'head_dim' ({}) is odd", head_dim));
}

VisionConfig VisionConfig::from_json(const Json& json) {
  VisionConfig config;
  const std::string model_type = field_or<std::string>(json, "model_type", "clip_vision_model");
  if (model_type != "clip_vision_model") {
    throw ConfigError(fmt::format("model_type '{}' is not supported, expected clip_vision_model",
                                  printable(model_type)));
  }
  const auto read = [&](const char* key, int64_t& value) { value = field_or(json, key, value); };
  read("hidden_size", config.hidden_size);
  read("intermediate_size", config.intermediate_size);
  read("num_hidden_layers", config.num_hidden_layers);
  read("num_attention_heads", config.num_attention_heads);
  read("num_channels", config.num_channels);
  read("image_size", config.image_size);
  read("patch_size", config.patch_size);
  config.hidden_act = activation_from_name(field_or<std::string>(json, "hidden_act", "quick_gelu"));
  config.layer_norm_eps = field_or(json, "layer_norm_eps", config.layer_norm_eps);
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
  if (image_size % patch_size != 0) {
    throw ConfigError(fmt::format("'image_size' ({}) is not a multiple of 'patch_size' ({})",
                                  image_size, patch_size));
  }
}

int64_t LlavaConfig::num_vision_layers() const {
  return vision_feature_layer >= 0 ? vision_feature_layer
                                   : vision.num_hidden_layers + 1 + vision_feature_layer;
}

LlavaConfig LlavaConfig::from_json(const Json& json) {
  LlavaConfig config;
  const std::string model_type = require_field<std::string>(json, "model_type");
  if (model_type != "llava" && model_type != "llava_next") {
    throw ConfigError(fmt::format("model_type '{}' is not supported, expected llava_next or llava",
                                  printable(model_type)));
  }
  config.kind = model_type == "llava" ? Kind::kLlava : Kind::kLlavaNext;
  config.text = named<TextConfig>("text_config", sub_config(json, "text_config"));
  config.vision = named<VisionConfig>(
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
  config.keep_class_token = strategy == "full";
  config.projector_hidden_act =
      activation_from_name(field_or<std::string>(json, "projector_hidden_act", "gelu"));
  config.multimodal_projector_bias = field_or(json, "multimodal_projector_bias", true);
  if (config.kind == Kind::kLlavaNext) config.image_grid_pinpoints = pinpoints_from_json(json);
  config.validate();
  return config;
}

LlavaConfig LlavaConfig::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "config.json";
  const Json json = read_json(path);
  try {
    return from_json(json);
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", printable(path.native(), 4096), error.what()));
  }
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
    const bool whole = height > 0 && width > 0 && height <= kMaxSize && width <= kMaxSize &&
                       height % vision.image_size == 0 && width % vision.image_size == 0;
    if (!whole) {
      throw ConfigError(
          fmt::format("'image_grid_pinpoints' has [{}, {}], expected multiples of the "
                      "tower's image_size {}",
                      height, width, vision.image_size));
    }
  }
}

}  // namespace e5v
