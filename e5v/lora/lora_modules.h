#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/checkpoint/weight_names.h"
#include "e5v/lora/lora_adapter.h"
#include "e5v/nn/keyed_dropout.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {

/// How the updates of a language model are made, in PEFT's words.
struct LoraOptions {
  int64_t lora_rank = 64;
  /// The update is scaled by alpha / rank.
  double lora_alpha = 16;
  double lora_dropout = 0.05;
  /// Last parts of the names of the Linears that get an update.
  std::vector<std::string> target_modules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                             "gate_proj", "up_proj", "down_proj"};

  void register_options(OptionRegistry& registry);
  void validate() const;
};

/// The low-rank updates that were put around a model's Linears, which use these very tensors.
struct LoraModules {
  struct Module {
    std::string name;  ///< canonical: `language_model.model.layers.0.mlp.up_proj`
    at::Tensor A;      ///< [rank, in] fp32, a leaf that requires a gradient
    at::Tensor B;      ///< [out, rank]
  };
  std::vector<Module> modules;
  std::shared_ptr<KeyedDropout> dropout;

  /// A and B of all modules under the names that PEFT saves them by.
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;
};

/// Puts an update around every loaded Linear that `visit` visits, that is in the language model and
/// that `options.target_modules` names. A is drawn from `seed` as PEFT does (Kaiming-uniform), B is
/// zero, so that the model does what it did; with `start`, both are that adapter's. Throws
/// ConfigError if no Linear has such a name, or `start` was made for other modules or shapes
/// (naming the first) or with another rank or scale than `options` say.
LoraModules apply_lora(const std::function<void(ParameterVisitor&)>& visit,
                       const WeightNames& names, const LoraOptions& options, uint64_t seed,
                       const LoraAdapter* start = nullptr);

/// Writes `folder`/adapter_config.json and adapter_model.safetensors as PEFT does; `base_model` is
/// the name of the model that they belong to. The folder must exist. Throws FileError.
void write_adapter(const std::filesystem::path& folder, const LoraModules& modules,
                   const WeightNames& names, const LoraOptions& options,
                   const std::string& base_model);

}  // namespace e5v::detail
