#include "e5v/train/trained_parameters.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/convert/rewrite_checkpoint.h"
#include "e5v/nn/tensor_file.h"

namespace e5v::detail {
namespace {

class MasterStorage final : public LinearStorage {
 public:
  explicit MasterStorage(at::Tensor weight) : weight_(std::move(weight)) {}

  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override {
    const at::ScalarType dtype = x.scalar_type();
    return at::linear(x, weight_.to(dtype), bias.defined() ? bias.to(dtype) : bias).to(out_dtype);
  }
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override {
    residual.add_(product(x, bias, residual.scalar_type()));
  }
  at::Tensor dense() const override { return weight_; }
  int64_t num_bytes() const override { return static_cast<int64_t>(weight_.nbytes()); }

 private:
  at::Tensor weight_;
};

std::map<std::string, at::Tensor> values_by_name(const std::vector<Parameter>& parameters) {
  std::map<std::string, at::Tensor> values;
  for (const Parameter& parameter : parameters) values[parameter.name] = parameter.value.detach();
  return values;
}

}  // namespace

void validate_trainable(const std::vector<std::string>& trainable,
                        const std::vector<std::string>& known) {
  if (trainable.empty()) throw ConfigError("'trainable' is empty");
  for (const std::string& part : trainable) {
    if (std::find(known.begin(), known.end(), part) != known.end()) continue;
    throw ConfigError(fmt::format("'trainable' has '{}', expected {}", printable(part, 40),
                                  fmt::join(known, ", ")));
  }
}

std::unique_ptr<LinearStorage> make_master_storage(const at::Tensor& weight) {
  return std::make_unique<MasterStorage>(weight.to(at::kFloat, false, /*copy=*/true));
}

void ParameterCollector::tensor(const std::string& name, at::Tensor& value, at::IntArrayRef) {
  if (!value.defined() || !is_trained_(name)) return;
  value = value.to(at::kFloat).detach();  // tables are in the checkpoint's type until here
  add(name, value);
}

void ParameterCollector::linear(const std::string& name, Linear& linear) {
  if (!linear.is_loaded() || !is_trained_(name)) return;
  add(name + ".weight", linear.storage().dense());
  if (linear.has_bias()) add(name + ".bias", linear.bias());
}

void ParameterCollector::add(const std::string& name, at::Tensor value) {
  parameters.push_back({name, value.requires_grad_()});
}

void ByteCounter::tensor(const std::string&, at::Tensor& value, at::IntArrayRef) {
  if (value.defined()) bytes += static_cast<int64_t>(value.nbytes());
}

void ByteCounter::linear(const std::string&, Linear& linear) {
  if (linear.is_loaded()) bytes += linear.storage().num_bytes();
}

void save_parameters(const std::filesystem::path& path, const std::vector<Parameter>& parameters) {
  write_tensor_file(path, values_by_name(parameters));
}

void load_parameters_of(const std::vector<Parameter>& parameters,
                        const std::filesystem::path& path) {
  const at::NoGradGuard no_grad;
  const auto tensors = read_tensor_file(path);
  for (const Parameter& parameter : parameters) {
    const auto found = tensors.find(parameter.name);
    if (found == tensors.end() || found->second.sizes() != parameter.value.sizes()) {
      throw ConfigError(
          fmt::format("{}: '{}' is missing or has another shape; made for another model?",
                      path.parent_path().native(), parameter.name));
    }
    at::Tensor value = parameter.value;
    value.copy_(found->second);
  }
}

void write_trained_checkpoint(const std::filesystem::path& model_dir, const WeightNames& names,
                              const std::filesystem::path& target,
                              const std::vector<Parameter>& parameters) {
  const auto trained = values_by_name(parameters);
  rewrite_checkpoint(model_dir, target, names,
                     [&](const std::string& name, const at::Tensor& stored) {
                       const auto found = trained.find(name);
                       return found == trained.end() ? std::optional<at::Tensor>()
                                                     : found->second.reshape(stored.sizes());
                     });
}

}  // namespace e5v::detail
