#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "e5v/checkpoint/checkpoint.h"
#include "e5v/model/llava_next.h"

namespace e5v {

/// Operands of the matrix products. The residual stream, norms, softmax and rotary are always fp32.
enum class Precision {
  kAuto,  ///< CPU: bf16 if the CPU multiplies it and the checkpoint has 16-bit weights, else fp32;
          ///< CUDA: the checkpoint's 16-bit type, bf16 for others
  kFloat32,
  kBFloat16,
  kFloat16,  ///< CUDA only
  kInt8,     ///< CPU only, packed only: products of 8-bit integers, attention in bf16 or fp32
};

/// The precision called "auto", "fp32", "bf16", "fp16" or "int8". Throws ConfigError for another
/// name.
Precision precision_from_name(const std::string& name);
const char* precision_name(Precision precision);

struct LoadOptions {
  Precision precision = Precision::kAuto;
  at::Device device = at::kCPU;
  /// Pack weights for CPU inference. Otherwise they stay plain tensors, as training needs them.
  bool pack = true;
  /// A PEFT LoRA adapter to merge while loading; empty = none.
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

/// Loads a checkpoint folder (config.json and safetensors, any key layout). Weights are streamed:
/// each goes to its final storage once and its file pages are released, so that the peak is the
/// final weights and one layer.
/// Throws FileError, FormatError (all missing and misshaped tensors in one), ConfigError.
std::unique_ptr<LlavaNext> load_model(const std::filesystem::path& model_dir,
                                      const LoadOptions& options = {});

/// The same for any module: gives every parameter that `visit` visits its value from the
/// checkpoint folder, and returns the precision that was chosen.
Precision load_parameters(const std::function<void(ParameterVisitor&)>& visit,
                          const std::filesystem::path& model_dir, const LoadOptions& options);

template <class Model>
Precision load_parameters(Model& model, const std::filesystem::path& model_dir,
                          const LoadOptions& options) {
  return load_parameters([&](ParameterVisitor& visitor) { model.visit_parameters(visitor); },
                         model_dir, options);
}

/// The type of the operands; `precision` is not kAuto.
at::ScalarType compute_dtype(Precision precision);

/// What kAuto means for this checkpoint and device.
Precision resolve_precision(Precision precision, at::Device device, const Checkpoint& checkpoint);

}  // namespace e5v
