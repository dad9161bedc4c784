#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "e5v/checkpoint/weight_names.h"

namespace e5v::detail {

/// A low-rank update of one Linear: W + scale · B A (Hu et al. 2021).
struct LoraWeights {
  at::Tensor A;  ///< [rank, in_features] fp32
  at::Tensor B;  ///< [out_features, rank] fp32
  double scale = 1;

  /// scale · B A, [out_features, in_features] fp32.
  at::Tensor delta() const;
};

/// A PEFT LoRA adapter: adapter_config.json and adapter_model.safetensors in one folder.
class LoraAdapter {
 public:
  /// Throws FileError, FormatError or ConfigError; ConfigError for what is not a plain LoRA (DoRA,
  /// trained biases, modules_to_save …).
  /// `names` are the model's, in which the adapter's modules are told apart.
  static LoraAdapter load(const std::filesystem::path& adapter_dir, const WeightNames& names);

  const std::filesystem::path& path() const { return path_; }

  /// The update of the Linear of that canonical name (`language_model.model.layers.0.mlp.up_proj`),
  /// or nullptr.
  const LoraWeights* find(const std::string& module) const;

  /// Canonical names of all updated Linears, sorted.
  std::vector<std::string> modules() const;

 private:
  std::filesystem::path path_;
  std::map<std::string, LoraWeights> weights_;
};

}  // namespace e5v::detail
