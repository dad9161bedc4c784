#include "e5v/model/load_model.h"

#include <malloc.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "e5v/base/error.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/lora.h"
#include "e5v/model/stored_tensor.h"
#include "e5v/nn/fused_linear.h"

namespace e5v {
namespace {

/// Gives every parameter its value from the checkpoint, in the storage that the options ask for.
class ParameterLoader final : public ParameterVisitor {
 public:
  ParameterLoader(const Checkpoint& checkpoint, const CheckpointReport& report,
                  const LoraAdapter* adapter, Precision precision, const LoadOptions& options)
      : checkpoint_(checkpoint),
        report_(report),
        adapter_(adapter),
        precision_(precision),
        options_(options) {
    for (const auto& [parameter, stored] : report.sources) {
      total_bytes_ += checkpoint.find(stored)->bytes.size();
    }
  }

  void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef shape) override {
    if (!is_wanted(name)) return;
    const TensorView stored = find(name);
    // Tables stay in the checkpoint's type: a row is widened when it is looked up.
    const at::ScalarType dtype =
        shape.size() == 2 && shape[0] == -1 ? view_stored(stored).scalar_type() : at::kFloat;
    value = copy_stored(stored, dtype).to(options_.device);
    done(name);
  }

  void linear(const std::string& name, Linear& linear) override {
    if (!is_wanted(name)) return;
    set_plain(name, linear);
    if (options_.pack) {
      const at::Tensor weight = linear.storage().dense();
      linear.set_weight(std::make_unique<PackedStorage>(PackedWeight(weight, packed_precision())));
    }
    release(name, linear);
  }

  void fused(FusedLinear& linears) override {
    if (!is_wanted(full_name(linears.name(0)))) return;
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      set_plain(full_name(linears.name(i)), linears.part(i));
    }
    if (options_.pack) linears.pack(packed_precision());
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      release(full_name(linears.name(i)), linears.part(i));
    }
  }

  void unused(const std::string& name) override { unused_.push_back(name); }

  /// Modules of the adapter that the model does not have. Those of layers that are never run are
  /// none of them.
  std::vector<std::string> unknown_adapter_modules() const {
    std::vector<std::string> unknown;
    if (adapter_ == nullptr) return unknown;
    for (const std::string& module : adapter_->modules()) {
      const bool is_unused =
          std::any_of(unused_.begin(), unused_.end(),
                      [&](const std::string& name) { return module.starts_with(name); });
      if (!merged_.contains(module) && !is_unused) unknown.push_back(module);
    }
    return unknown;
  }

 private:
  bool is_wanted(const std::string& name) const {
    const auto begins = [&](const std::string& prefix) { return name.starts_with(prefix); };
    return options_.only.empty() || std::any_of(options_.only.begin(), options_.only.end(), begins);
  }

  PackedWeight::Precision packed_precision() const {
    switch (precision_) {
      case Precision::kBFloat16:
        return PackedWeight::Precision::kBFloat16;
      case Precision::kInt8:
        return PackedWeight::Precision::kInt8;
      default:
        return PackedWeight::Precision::kFloat32;
    }
  }

  at::ScalarType plain_dtype() const {
    switch (precision_) {
      case Precision::kBFloat16:
        return at::kBFloat16;
      case Precision::kFloat16:
        return at::kHalf;
      default:
        return at::kFloat;
    }
  }

  TensorView find(const std::string& name) const {
    return *checkpoint_.find(report_.sources.at(name));
  }

  /// The weight as a plain tensor: in place in the mapped file if it is to be packed at once.
  void set_plain(const std::string& name, Linear& linear) {
    at::Tensor weight =
        view_stored(find(name + ".weight")).reshape({linear.out_features(), linear.in_features()});
    if (const LoraWeights* update = adapter_ ? adapter_->find(name) : nullptr) {
      const bool fits =
          update->A.size(1) == linear.in_features() && update->B.size(0) == linear.out_features();
      if (!fits) {
        throw ConfigError(
            fmt::format("{}: '{}' updates a [{}, {}] weight, but the model's is [{}, {}]; made for "
                        "another model?",
                        adapter_->path().native(), name, update->B.size(0), update->A.size(1),
                        linear.out_features(), linear.in_features()));
      }
      weight = update->delta().add_(weight.to(at::kFloat));
      merged_.insert(name);
    }
    if (!options_.pack) {
      weight = weight.to(options_.device, plain_dtype(), /*non_blocking=*/false, /*copy=*/true);
    }
    std::unique_ptr<LinearStorage> storage;
    if (!options_.pack && options_.make_storage) storage = options_.make_storage(name, weight);
    if (!storage) storage = std::make_unique<PlainStorage>(weight);
    linear.set_weight(std::move(storage));
    if (linear.has_bias()) {
      linear.set_bias(copy_stored(find(name + ".bias"), at::kFloat).to(options_.device));
    }
  }

  void release(const std::string& name, const Linear& linear) {
    done(name + ".weight");
    if (linear.has_bias()) done(name + ".bias");
  }

  void done(const std::string& name) {
    done_bytes_ += find(name).bytes.size();
    checkpoint_.release(report_.sources.at(name));
    ::malloc_trim(0);  // or freed copies of weights pile up to several percent of the model
    if (options_.on_progress) options_.on_progress(done_bytes_, total_bytes_);
  }

  const Checkpoint& checkpoint_;
  const CheckpointReport& report_;
  const LoraAdapter* adapter_;
  Precision precision_;
  const LoadOptions& options_;
  std::set<std::string> merged_;
  std::vector<std::string> unused_;
  uint64_t done_bytes_ = 0, total_bytes_ = 0;
};

/// Quantised and integer weights are of other formats than this program reads.
void require_floating_point(const CheckpointReport& report, const Checkpoint& checkpoint,
                            const std::filesystem::path& model_dir) {
  for (const auto& [parameter, stored] : report.sources) {
    const DType dtype = checkpoint.find(stored)->dtype;
    if (!is_floating_point(dtype)) {
      throw FormatError(model_dir.native(),
                        fmt::format("tensor '{}' is of type {}, expected a floating-point type",
                                    stored, dtype_name(dtype)));
    }
  }
}

/// The type of most of the weights' bytes.
DType main_dtype(const Checkpoint& checkpoint) {
  std::map<DType, uint64_t> bytes;
  for (const std::string& name : checkpoint.names()) {
    const TensorView tensor = *checkpoint.find(name);
    if (is_floating_point(tensor.dtype)) bytes[tensor.dtype] += tensor.bytes.size();
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? DType::F32 : most->first;
}

}  // namespace

Precision precision_from_name(const std::string& name) {
  if (name == "auto") return Precision::kAuto;
  if (name == "fp32") return Precision::kFloat32;
  if (name == "bf16") return Precision::kBFloat16;
  if (name == "fp16") return Precision::kFloat16;
  if (name == "int8") return Precision::kInt8;
  throw ConfigError(fmt::format(
      "precision '{}' is not known, expected auto, fp32, bf16, fp16 or int8", printable(name)));
}

const char* precision_name(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kFloat32:
      return "fp32";
    case Precision::kBFloat16:
      return "bf16";
    case Precision::kFloat16:
      return "fp16";
    case Precision::kInt8:
      return "int8";
  }
  throw_broken_invariant("precision is an enumerator", __FILE__, __LINE__);
}

Precision resolve_precision(Precision precision, at::Device device, const Checkpoint& checkpoint) {
  if (precision == Precision::kFloat16 && device.is_cpu()) {
    throw ConfigError("precision fp16 needs a CUDA device; expected auto, fp32 or bf16 on the CPU");
  }
  if (precision == Precision::kInt8 && !device.is_cpu()) {
    throw ConfigError("precision int8 is for the CPU; expected auto, fp32, bf16 or fp16 on CUDA");
  }
  if (precision != Precision::kAuto) return precision;
  const DType stored = main_dtype(checkpoint);
  if (device.is_cpu()) {
    const bool narrow = dtype_bytes(stored) <= 2;
    return narrow && PackedWeight::has_native_bfloat16() ? Precision::kBFloat16
                                                         : Precision::kFloat32;
  }
  return stored == DType::F16 ? Precision::kFloat16 : Precision::kBFloat16;
}

at::ScalarType compute_dtype(Precision precision) {
  switch (precision) {
    case Precision::kBFloat16:
      return at::kBFloat16;
    case Precision::kFloat16:
      return at::kHalf;
    case Precision::kInt8:  // what is between the products
      return PackedWeight::has_native_bfloat16() ? at::kBFloat16 : at::kFloat;
    default:
      return at::kFloat;
  }
}

Precision load_parameters(const std::function<void(ParameterVisitor&)>& visit,
                          const std::filesystem::path& model_dir, const LoadOptions& options) {
  const at::NoGradGuard no_grad;
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  CheckpointMatcher matcher(checkpoint);
  visit(matcher);
  const CheckpointReport report = matcher.report();
  if (!report.complete()) {
    throw FormatError(model_dir.native(),
                      "the weights do not fit config.json: " + report.summary());
  }
  if (!report.unexpected.empty() && options.on_warning) {
    options.on_warning(fmt::format("{}: tensors that the model does not use: {}",
                                   model_dir.native(), report.summary()));
  }
  std::optional<LoraAdapter> adapter;
  if (!options.adapter.empty()) adapter = LoraAdapter::load(options.adapter);

  const Precision precision = resolve_precision(options.precision, options.device, checkpoint);
  if (precision == Precision::kInt8 && !options.pack) {
    throw ConfigError("precision int8 is for embedding only; expected auto, fp32 or bf16");
  }
  require_floating_point(report, checkpoint, model_dir);
  ParameterLoader loader(checkpoint, report, adapter ? &*adapter : nullptr, precision, options);
  visit(loader);
  const auto unknown = loader.unknown_adapter_modules();
  if (!unknown.empty()) {
    throw ConfigError(
        fmt::format("{}: {} modules of the adapter are not in the model, the first "
                    "is '{}'; made for another model?",
                    options.adapter.native(), unknown.size(), unknown.front()));
  }
  return precision;
}

std::unique_ptr<LlavaNext> load_model(const std::filesystem::path& model_dir,
                                      const LoadOptions& options) {
  auto model = std::make_unique<LlavaNext>(LlavaConfig::load(model_dir));
  model->set_compute_dtype(compute_dtype(load_parameters(*model, model_dir, options)));
  model->set_device(options.device);
  return model;
}

}  // namespace e5v
