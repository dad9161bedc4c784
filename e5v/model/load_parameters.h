#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/weight_names.h"
#include "e5v/model/precision.h"
#include "e5v/nn/linear.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {

struct LoadOptions {
  Precision precision = Precision::kAuto;
  at::Device device = at::kCPU;
  /// Pack weights for CPU inference. Otherwise they stay plain tensors, as training needs them.
  bool pack = true;
  /// A PEFT LoRA adapter to merge while loading; empty = none. Not into quantised weights.
  std::filesystem::path adapter;
  /// Load only parameters whose canonical names begin with one of these; empty = all. The others
  /// stay without memory.
  std::vector<std::string> only;
  /// Makes the storage of the Linear of that canonical name from its plain weight, [out, in] in the
  /// compute type, where weights are not packed; nullptr = the plain tensor itself.
  std::function<std::unique_ptr<LinearStorage>(const std::string& name, const at::Tensor& weight)>
      make_storage;
  /// Called with (bytes of the checkpoint done, bytes in all) after each tensor.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> on_progress;
  /// Called with one line about what is odd but harmless (unexpected tensors).
  std::function<void(const std::string& message)> on_warning;
};

/// Gives every parameter that `visit` visits its value from a checkpoint folder (or one file of
/// tensors) whose weights are called as `names` says, and returns the precision that was chosen.
/// Weights are streamed: each goes to its final storage once and its file pages are released, so
/// that the peak is the final weights and one layer.
/// Throws FileError, FormatError (all missing and misshaped tensors in one), ConfigError.
Precision load_parameters(const std::function<void(ParameterVisitor&)>& visit,
                          const WeightNames& names, const std::filesystem::path& model_dir,
                          const LoadOptions& options);

template <class Model>
Precision load_parameters(Model& model, const WeightNames& names,
                          const std::filesystem::path& model_dir, const LoadOptions& options) {
  return load_parameters([&](ParameterVisitor& visitor) { model.visit_parameters(visitor); }, names,
                         model_dir, options);
}

/// What kAuto means for this checkpoint and device. `stored` is the precision of a quantised
/// checkpoint. Throws ConfigError where the checkpoint or device has no such precision.
Precision resolve_precision(Precision precision, at::Device device, const Checkpoint& checkpoint,
                            std::optional<Precision> stored = std::nullopt);

}  // namespace e5v::detail
