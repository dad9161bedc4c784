#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "e5v/model/lora.h"
#include "e5v/model/model.h"
#include "e5v/nn/lora_linear.h"
#include "e5v/train/train_options.h"

namespace e5v {

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
  std::vector<Parameter> parameters() const;
};

/// Puts an update around every loaded Linear of the language model that `options.target_modules`
/// names. A is drawn from `seed` as PEFT does (Kaiming-uniform), B is zero, so that the model does
/// what it did; with `start`, both are that adapter's.
/// Throws ConfigError if no Linear has such a name, or `start` was made for other modules or shapes
/// (naming the first) or with another rank or scale than `options` say.
LoraModules apply_lora(Model& model, const WeightNames& names, const LoraOptions& options,
                       uint64_t seed, const LoraAdapter* start = nullptr);

/// Writes `folder`/adapter_config.json and adapter_model.safetensors as PEFT does; `base_model` is
/// the name of the model that they belong to. The folder must exist. Throws FileError.
void write_adapter(const std::filesystem::path& folder, const LoraModules& modules,
                   const WeightNames& names, const LoraOptions& options,
                   const std::string& base_model);

}  // namespace e5v
