#pragma once

#include <ATen/ATen.h>

#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

class FusedLinear;
class Linear;

/// Walks every weight of a module under the name that checkpoints give it. One description of a
/// module (its `visit_parameters`) serves loading, random initialisation, inspection, LoRA and the
/// trainer's choice of parameters; a module needs no memory to be described.
class ParameterVisitor {
 public:
  virtual ~ParameterVisitor() = default;

  /// A parameter that is not a matrix product's: norm weights, biases of norms, embedding tables.
  /// `value` may be undefined (not loaded yet) and may be set. A -1 in `shape` is any size.
  virtual void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef shape) = 0;

  /// The weight (`name.weight`, of `linear.checkpoint_shape()`) and, if it has one, the bias
  /// (`name.bias`) of a matrix product.
  virtual void linear(const std::string& name, Linear& linear) = 0;

  /// Linears that read the same input, under names of their own; visits each of them unless
  /// overridden.
  virtual void fused(FusedLinear& linears);

  /// Names that checkpoints hold and this program does not need: `name` itself, or everything below
  /// it if it ends in a dot.
  virtual void unused(const std::string& name) {}

  /// The name of a weight inside the module being visited.
  std::string full_name(std::string_view name) const { return prefix_ + std::string(name); }

  /// Visits `module` with `name.` before each of its names.
  template <class Module>
  void module(std::string_view name, Module&& module) {
    const size_t size = prefix_.size();
    prefix_.append(name).push_back('.');
    module.visit_parameters(*this);
    prefix_.resize(size);
  }

  /// Visits a list of modules as `name.0.`, `name.1.` ….
  template <class Module>
  void modules(std::string_view name, std::vector<Module>& modules) {
    for (size_t i = 0; i < modules.size(); ++i) {
      module(std::string(name) + "." + std::to_string(i), modules[i]);
    }
  }

 private:
  std::string prefix_;
};

}  // namespace e5v::detail
