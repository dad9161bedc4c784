#include "e5v/model/text_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "e5v/model/config_fields.h"

namespace e5v::detail {
namespace {

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
  if (model_type == "qwen3_vl_text") {
    config.vocab_size = 151936;
    config.intermediate_size = 22016;
    config.max_position_embeddings = 128000;
    config.rope_theta = 500000;
    config.qk_norm = true;
    config.multimodal_rope = {.sections = {24, 20, 20}, .interleaved = true};
    return config;
  }
  throw ConfigError(
      fmt::format("text_config.model_type '{}' is not supported, expected llama, mistral, qwen2 or "
                  "qwen3_vl_text",
                  printable(model_type)));
}

std::optional<RopeScaling> rope_scaling_from_json(const Json& json) {
  const std::string kind = find_field<std::string>(json, "rope_type")
                               .value_or(find_field<std::string>(json, "type").value_or("default"));
  if (kind == "default" || kind == "mrope") return std::nullopt;  // mrope: sections say the rest
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

/// Whether sections take turns is the family's: `mrope_interleaved` is not looked at, as
/// transformers does not.
void read_multimodal_rope(const Json& json, TextConfig& config) {
  std::vector<int64_t>& sections = config.multimodal_rope->sections;
  sections = field_or(json, "mrope_section", sections);
  if (config.rope_scaling) {
    throw ConfigError("'rope_scaling' has a rope_type other than default beside 'mrope_section'");
  }
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
    if (config.multimodal_rope) read_multimodal_rope(*rope, config);
  }
  if (!(config.rope_theta > 0)) throw ConfigError("'rope_theta' must be positive");
}

void validate_sections(const std::vector<int64_t>& sections, int64_t head_dim) {
  constexpr size_t kNumAxes = 3;  // time, height, width
  const bool fits = sections.size() == kNumAxes &&
                    std::all_of(sections.begin(), sections.end(),
                                [&](int64_t size) { return size >= 0 && size <= head_dim / 2; });
  if (fits && std::accumulate(sections.begin(), sections.end(), int64_t{0}) == head_dim / 2) return;
  throw ConfigError(
      fmt::format("'mrope_section' is [{}], expected 3 sizes that make {}, half of "
                  "'head_dim'",
                  fmt::join(sections, ", "), head_dim / 2));
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
  // These models' default numbers do not follow from others; llama's do.
  const bool has_fixed_defaults =
      config.model_type == "mistral" || config.model_type == "qwen3_vl_text";
  config.num_key_value_heads =
      field_or(json, "num_key_value_heads",
               has_fixed_defaults ? config.num_key_value_heads : config.num_attention_heads);
  require_sizes(
      {{"hidden_size", config.hidden_size}, {"num_attention_heads", config.num_attention_heads}});
  const bool has_fixed_head_dim = config.model_type == "qwen3_vl_text";
  config.head_dim = field_or(
      json, "head_dim",
      has_fixed_head_dim ? config.head_dim : config.hidden_size / config.num_attention_heads);
  config.rms_norm_eps = field_or(json, "rms_norm_eps", config.rms_norm_eps);
  config.hidden_act = activation_from_name(field_or<std::string>(json, "hidden_act", "silu"));
  config.tie_word_embeddings = field_or(json, "tie_word_embeddings", false);
  if (config.model_type == "llama" || config.model_type == "qwen3_vl_text") {
    config.qkv_bias = config.output_bias = field_or(json, "attention_bias", false);
  }
  if (config.model_type == "llama") {
    config.mlp_bias = field_or(json, "mlp_bias", false);
  }
  const bool has_window =
      config.model_type == "mistral" || field_or(json, "use_sliding_window", false);
  if (has_window) {
    const bool absent = !json.contains("sliding_window");
    const int64_t window =
        absent ? 4096 : field_or<int64_t>(json, "sliding_window", kMaxConfigSize);
    config.max_position_embeddings = std::min(config.max_position_embeddings, window);
  }
  read_rope(json, config);
  config.validate();
  return config;
}

std::string TextConfig::describe() const {
  return fmt::format(
      "{}, {} layers of width {}, {} heads ({} for keys and values) of {}, MLP {}, {} embeddings, "
      "up to {} tokens",
      model_type, num_hidden_layers, hidden_size, num_attention_heads, num_key_value_heads,
      head_dim, intermediate_size, vocab_size, max_position_embeddings);
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
  if (multimodal_rope) validate_sections(multimodal_rope->sections, head_dim);
}

}  // namespace e5v::detail
