#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "e5v/checkpoint/weight_names.h"
#include "e5v/nn/linear.h"
#include "e5v/nn/parameter_visitor.h"
#include "e5v/train/optimizer.h"

namespace e5v::detail {

/// Whether the tensor of that canonical name is trained.
using IsTrained = std::function<bool(const std::string& name)>;

/// Throws ConfigError where `trainable`, the field of recipes, is empty or names a part that is
/// none of `known`.
void validate_trainable(const std::vector<std::string>& trainable,
                        const std::vector<std::string>& known);

/// The storage of a trained weight: a copy in float32, multiplied in the operands' type. For
/// LoadOptions::make_storage.
std::unique_ptr<LinearStorage> make_master_storage(const at::Tensor& weight);

/// Visits a loaded module and turns its trained tensors into leaves in float32 that get gradients;
/// Linears must lie in make_master_storage. What is not loaded is left out.
class ParameterCollector final : public ParameterVisitor {
 public:
  explicit ParameterCollector(IsTrained is_trained) : is_trained_(std::move(is_trained)) {}

  void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef shape) override;
  void linear(const std::string& name, Linear& linear) override;

  std::vector<Parameter> parameters;

 private:
  void add(const std::string& name, at::Tensor value);

  IsTrained is_trained_;
};

/// Visits a module and adds up the bytes of the weights that are loaded.
class ByteCounter final : public ParameterVisitor {
 public:
  void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef shape) override;
  void linear(const std::string& name, Linear& linear) override;

  int64_t bytes = 0;
};

/// Writes the values of `parameters` under their names. Throws FileError.
void save_parameters(const std::filesystem::path& path, const std::vector<Parameter>& parameters);

/// Reads back what save_parameters wrote, exactly. Throws FileError, FormatError; ConfigError where
/// a tensor is missing or has another shape.
void load_parameters_of(const std::vector<Parameter>& parameters,
                        const std::filesystem::path& path);

/// Copies the checkpoint folder `model_dir` with `parameters` in place of the tensors of these
/// names (rewrite_checkpoint.h). Throws FileError, FormatError, ConfigError.
void write_trained_checkpoint(const std::filesystem::path& model_dir, const WeightNames& names,
                              const std::filesystem::path& target,
                              const std::vector<Parameter>& parameters);

}  // namespace e5v::detail
