#include "e5v/lora/lora_adapter.h"

#include <cmath>
#include <optional>
#include <regex>

#include "e5v/base/json.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/nn/packed_weight.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

/// The entry of PEFT's `alpha_pattern` that applies to `module`: a key matches the whole name or
/// the part after a dot.
std::optional<double> find_pattern(const Json& patterns, const std::string& module) {
  for (const auto& [pattern, value] : patterns.items()) {
    if (!value.is_number()) throw ConfigError("'alpha_pattern' must hold numbers");
    try {
      if (std::regex_match(module, std::regex("(.*\\.)?(" + pattern + ")"))) return value;
    } catch (const std::regex_error&) {
      throw ConfigError(fmt::format("'alpha_pattern' has '{}', which is not a regular expression",
                                    printable(pattern)));
    }
  }
  return std::nullopt;
}

/// Splits `….lora_A.weight` (or `….lora_A.default.weight`) into the module and "A" or "B".
std::optional<std::pair<std::string, char>> split_lora_key(const std::string& key) {
  for (const char* end : {".weight", ".default.weight"}) {
    for (const char factor : {'A', 'B'}) {
      const std::string suffix = fmt::format(".lora_{}{}", factor, end);
      if (key.ends_with(suffix)) {
        return std::pair(key.substr(0, key.size() - suffix.size()), factor);
      }
    }
  }
  return std::nullopt;
}

void require_plain_lora(const Json& config) {
  const auto type = field_or<std::string>(config, "peft_type", "LORA");
  if (type != "LORA") {
    throw ConfigError(fmt::format("'peft_type' is '{}', expected LORA", printable(type)));
  }
  for (const char* key : {"use_dora", "fan_in_fan_out", "use_qalora"}) {
    if (field_or(config, key, false)) throw ConfigError(fmt::format("'{}' is not supported", key));
  }
  if (field_or<std::string>(config, "bias", "none") != "none") {
    throw ConfigError("'bias' other than 'none' is not supported");
  }
  const auto saved = find_field<Json>(config, "modules_to_save");
  if (saved && !saved->empty()) throw ConfigError("'modules_to_save' is not supported");
}

}  // namespace

at::Tensor LoraWeights::delta() const {
  // By oneDNN: at::mm takes minutes for an 8B model with a plain BLAS.
  const PackedWeight a(A.t().contiguous(), at::kFloat);
  return a.matmul(B, {}, at::kFloat).mul_(scale);
}

LoraAdapter LoraAdapter::load(const std::filesystem::path& adapter_dir, const WeightNames& names) {
  const std::filesystem::path config_path = adapter_dir / "adapter_config.json";
  const Json config = read_json(config_path);
  const Checkpoint checkpoint = Checkpoint::open(adapter_dir / "adapter_model.safetensors");
  LoraAdapter adapter;
  adapter.path_ = adapter_dir;
  try {
    require_plain_lora(config);
    for (const std::string& key : checkpoint.names()) {
      const auto split = split_lora_key(key);
      if (!split) {
        throw ConfigError(
            fmt::format("tensor '{}' is neither a lora_A nor a lora_B weight", printable(key)));
      }
      LoraWeights& weights = adapter.weights_[names.canonical_adapter_module(split->first)];
      const at::Tensor value = copy_stored(*checkpoint.find(key), at::kFloat);
      (split->second == 'A' ? weights.A : weights.B) = value;
    }
    const auto alpha = require_field<double>(config, "lora_alpha");
    const Json patterns = field_or<Json>(config, "alpha_pattern", Json::object());
    const bool rank_stabilised = field_or(config, "use_rslora", false);
    for (auto& [module, weights] : adapter.weights_) {
      const bool fits = weights.A.defined() && weights.B.defined() && weights.A.dim() == 2 &&
                        weights.B.dim() == 2 && weights.A.size(0) == weights.B.size(1);
      if (!fits) {
        throw ConfigError(fmt::format("'{}' needs a lora_A [r, in] and a lora_B [out, r]", module));
      }
      const auto rank = static_cast<double>(weights.A.size(0));
      weights.scale = find_pattern(patterns, module).value_or(alpha) /
                      (rank_stabilised ? std::sqrt(rank) : rank);
    }
    if (adapter.weights_.empty()) throw ConfigError("the adapter holds no weights");
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", printable(adapter_dir.native(), 4096), error.what()));
  }
  return adapter;
}

const LoraWeights* LoraAdapter::find(const std::string& module) const {
  const auto found = weights_.find(module);
  return found == weights_.end() ? nullptr : &found->second;
}

std::vector<std::string> LoraAdapter::modules() const {
  std::vector<std::string> names;
  for (const auto& [module, weights] : weights_) names.push_back(module);
  return names;
}

}  // namespace e5v::detail
