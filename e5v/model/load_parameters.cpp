#include "e5v/model/load_parameters.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/lora/lora_adapter.h"
#include "e5v/model/checkpoint_matcher.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/precision_forms.h"
#include "e5v/model/stored_precision.h"
#include "e5v/nn/fused_linear.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

/// Gives every parameter its value from the checkpoint as CheckpointMatcher has found it. What
/// becomes of a matrix product's weight is the matter of the two loaders below.
class ParameterLoader : public ParameterVisitor {
 public:
  ParameterLoader(const Checkpoint& checkpoint, const WeightNames& names,
                  const CheckpointReport& report, const LoraAdapter* adapter, Precision precision,
                  const LoadOptions& options)
      : checkpoint_(checkpoint),
        names_(names),
        report_(report),
        precision_(precision),
        options_(options),
        adapter_(adapter) {
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

  void unused(const std::string& name) override { unused_.push_back(name); }

  /// Modules of the adapter that the model does not have. A layer after the last one that runs is
  /// not loaded, but the model has it.
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

 protected:
  bool is_wanted(const std::string& name) const {
    const auto begins = [&](const std::string& prefix) { return name.starts_with(prefix); };
    return options_.only.empty() || std::any_of(options_.only.begin(), options_.only.end(), begins);
  }

  TensorView find(const std::string& name) const {
    return *checkpoint_.find(report_.sources.at(name));
  }

  /// The weight as the checkpoint has it, in place in the mapped file; with the adapter's update,
  /// where it has one, in float32.
  at::Tensor stored_weight(const std::string& name, const Linear& linear) {
    const at::Tensor weight =
        view_stored(find(name + ".weight")).reshape({linear.out_features(), linear.in_features()});
    const LoraWeights* update = adapter_ ? adapter_->find(name) : nullptr;
    if (update == nullptr) return weight;
    const bool fits =
        update->A.size(1) == linear.in_features() && update->B.size(0) == linear.out_features();
    if (!fits) {
      throw ConfigError(
          fmt::format("{}: '{}' updates a [{}, {}] weight, but the model's is [{}, {}]; made for "
                      "another model?",
                      adapter_->path().native(), name, update->B.size(0), update->A.size(1),
                      linear.out_features(), linear.in_features()));
    }
    merged_.insert(name);
    return update->delta().add_(weight.to(at::kFloat));
  }

  void set_bias(const std::string& name, Linear& linear) {
    if (!linear.has_bias()) return;
    linear.set_bias(copy_stored(find(name + ".bias"), at::kFloat).to(options_.device));
  }

  /// The tensor is no longer needed in the file.
  void done(const std::string& name) {
    done_bytes_ += find(name).bytes.size();
    checkpoint_.release(report_.sources.at(name));
    ::malloc_trim(0);  // or freed copies of weights pile up to several percent of the model
    if (options_.on_progress) options_.on_progress(done_bytes_, total_bytes_);
  }

  const Checkpoint& checkpoint_;
  const WeightNames& names_;
  const CheckpointReport& report_;
  const Precision precision_;
  const LoadOptions& options_;

 private:
  const LoraAdapter* adapter_;
  std::set<std::string> merged_;
  std::vector<std::string> unused_;
  uint64_t done_bytes_ = 0, total_bytes_ = 0;
};

/// For training, and for devices with products of their own: weights as plain tensors, or in what
/// LoadOptions::make_storage makes of these.
class PlainLoader final : public ParameterLoader {
 public:
  using ParameterLoader::ParameterLoader;

  void linear(const std::string& name, Linear& linear) override {
    if (!is_wanted(name)) return;
    const at::Tensor weight =
        stored_weight(name, linear)
            .to(options_.device, plain_dtype(), /*non_blocking=*/false, /*copy=*/true);
    std::unique_ptr<LinearStorage> storage;
    if (options_.make_storage) storage = options_.make_storage(name, weight);
    if (!storage) storage = std::make_unique<PlainStorage>(weight);
    linear.set_weight(std::move(storage));
    set_bias(name, linear);
    done(name + ".weight");
    if (linear.has_bias()) done(name + ".bias");
  }

 private:
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
};

/// For inference on CPUs: weights in the forms of the precision. Those of a checkpoint that is
/// rounded to it are taken as they are.
class PackingLoader final : public ParameterLoader {
 public:
  PackingLoader(const Checkpoint& checkpoint, const WeightNames& names,
                const CheckpointReport& report, const LoraAdapter* adapter, Precision precision,
                const LoadOptions& options, bool is_rounded)
      : ParameterLoader(checkpoint, names, report, adapter, precision, options),
        is_rounded_(is_rounded) {}

  void linear(const std::string& name, Linear& linear) override {
    if (!is_wanted(name)) return;
    if (const RoundedForm* form = stored_form(name)) {
      linear.set_weight(form->load({read_rounded(name, linear)}, linear.in_features()));
      set_bias(name, linear);
    } else {
      set_in_place(name, linear);
      const WeightForm& packed = weight_form(names_, name, precision_);
      linear.set_weight(packed.make_storage({linear.storage().dense()}));
    }
    release(name, linear);
  }

  void fused(FusedLinear& linears) override {
    const std::string first = full_name(linears.name(0));
    if (!is_wanted(first)) return;
    if (const RoundedForm* form = stored_form(first)) {
      load_rounded(linears, *form);
    } else {
      for (size_t i = 0; i < linears.num_parts(); ++i) {
        set_in_place(full_name(linears.name(i)), linears.part(i));
      }
      linears.pack(weight_form(names_, first, precision_));
    }
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      release(full_name(linears.name(i)), linears.part(i));
    }
  }

 private:
  /// The form to which the checkpoint's weight is rounded; nullptr for a plain tensor.
  const RoundedForm* stored_form(const std::string& name) const {
    return is_rounded_ ? as_rounded(weight_form(names_, name, precision_)) : nullptr;
  }

  /// The weight in the mapped file, until it is packed.
  void set_in_place(const std::string& name, Linear& linear) {
    linear.set_weight(std::make_unique<PlainStorage>(stored_weight(name, linear)));
    set_bias(name, linear);
  }

  void load_rounded(FusedLinear& linears, const RoundedForm& form) {
    std::vector<RoundedPart> parts;
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      const std::string name = full_name(linears.name(i));
      parts.push_back(read_rounded(name, linears.part(i)));
      set_bias(name, linears.part(i));
    }
    try {
      linears.set_packed(form.load(parts, linears.part(0).in_features()));
    } catch (const InputError& error) {
      const std::string first = full_name(linears.name(0));
      throw FormatError(checkpoint_.file_of(report_.sources.at(first + ".weight")).native(),
                        fmt::format("'{}': {}", first, error.what()));
    }
  }

  std::vector<FormTensor> stored_tensors(const std::string& name, const Linear& linear) const {
    return rounded_tensors(names_, name, linear,
                           is_rounded_ ? std::optional(precision_) : std::nullopt);
  }

  /// Copies of those tensors: the file's are not aligned, and are let go. Those of 8-bit integers
  /// are seen in place: they need no alignment, and are packed into memory of their own at once.
  RoundedPart read_rounded(const std::string& name, const Linear& linear) const {
    RoundedPart part;
    for (const FormTensor& tensor : stored_tensors(name, linear)) {
      const TensorView stored = find(name + ".weight" + tensor.suffix);
      const bool is_in_place = tensor.dtype == at::kChar;
      const at::Tensor value =
          is_in_place
              ? at::from_blob(const_cast<std::byte*>(stored.bytes.data()), tensor.shape, at::kChar)
              : at::empty(tensor.shape, tensor.dtype);
      E5V_ASSERT(value.nbytes() == stored.bytes.size());
      if (!is_in_place) std::memcpy(value.data_ptr(), stored.bytes.data(), stored.bytes.size());
      part.push_back(value);
    }
    return part;
  }

  void release(const std::string& name, const Linear& linear) {
    const std::vector<FormTensor> rounded = stored_tensors(name, linear);
    if (rounded.empty()) done(name + ".weight");
    for (const FormTensor& tensor : rounded) done(name + ".weight" + tensor.suffix);
    if (linear.has_bias()) done(name + ".bias");
  }

  const bool is_rounded_;  // the checkpoint's weights are, to this precision
};

/// What a rounded weight consists of has its own types; everything else is floating point.
class TypeChecker final : public ParameterVisitor {
 public:
  TypeChecker(const WeightNames& names, const CheckpointReport& report,
              const Checkpoint& checkpoint, std::optional<Precision> stored,
              const std::filesystem::path& model_dir)
      : names_(names),
        report_(report),
        checkpoint_(checkpoint),
        stored_(stored),
        model_dir_(model_dir) {}

  void tensor(const std::string& name, at::Tensor&, at::IntArrayRef) override {
    expect_floating_point(name);
  }
  void linear(const std::string& name, Linear& linear) override {
    if (linear.has_bias()) expect_floating_point(name + ".bias");
    const std::vector<FormTensor> rounded = rounded_tensors(names_, name, linear, stored_);
    if (rounded.empty()) expect_floating_point(name + ".weight");
    for (const FormTensor& tensor : rounded) {
      const DType expected = stored_dtype(tensor.dtype);
      const std::string parameter = name + ".weight" + tensor.suffix;
      if (type_of(parameter) != expected) refuse(parameter, dtype_name(expected));
    }
  }

 private:
  DType type_of(const std::string& parameter) const {
    return checkpoint_.find(report_.sources.at(parameter))->dtype;
  }
  void expect_floating_point(const std::string& parameter) const {
    if (!is_floating_point(type_of(parameter))) refuse(parameter, "a floating-point type");
  }
  [[noreturn]] void refuse(const std::string& parameter, std::string_view expected) const {
    throw FormatError(model_dir_.native(), fmt::format("tensor '{}' is of type {}, expected {}",
                                                       report_.sources.at(parameter),
                                                       dtype_name(type_of(parameter)), expected));
  }

  const WeightNames& names_;
  const CheckpointReport& report_;
  const Checkpoint& checkpoint_;
  std::optional<Precision> stored_;
  const std::filesystem::path& model_dir_;
};

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

Precision resolve_precision(Precision precision, at::Device device, const Checkpoint& checkpoint,
                            std::optional<Precision> stored) {
  if (stored && precision != Precision::kAuto && precision != *stored) {
    throw ConfigError(fmt::format(
        "precision {} is not to be had of weights that are quantised to {}; expected auto or {}",
        precision_name(precision), precision_name(*stored), precision_name(*stored)));
  }
  if (stored) precision = *stored;
  if (precision == Precision::kFloat16 && device.is_cpu()) {
    throw ConfigError("precision fp16 needs a CUDA device; expected auto, fp32 or bf16 on the CPU");
  }
  if (is_quantized(precision) && !device.is_cpu()) {
    throw ConfigError(
        fmt::format("precision {} is for the CPU; expected auto, fp32, bf16 or fp16 on CUDA",
                    precision_name(precision)));
  }
  if (precision != Precision::kAuto) return precision;
  const DType most = main_dtype(checkpoint);
  if (device.is_cpu()) {
    const bool narrow = dtype_bytes(most) <= 2;
    return narrow && PackedWeight::has_native_bfloat16() ? Precision::kBFloat16
                                                         : Precision::kFloat32;
  }
  return most == DType::F16 ? Precision::kFloat16 : Precision::kBFloat16;
}

Precision load_parameters(const std::function<void(ParameterVisitor&)>& visit,
                          const WeightNames& names, const std::filesystem::path& model_dir,
                          const LoadOptions& options) {
  const at::NoGradGuard no_grad;
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  const std::optional<Precision> stored = stored_precision(model_dir);
  CheckpointMatcher matcher(checkpoint, names, stored);
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
  if (!options.adapter.empty()) {
    if (stored) {
      throw ConfigError(fmt::format(
          "{}: an adapter cannot be merged into quantised weights; merge it into those that they "
          "were made of (e5v merge), then quantise (e5v quantize)",
          model_dir.native()));
    }
    adapter = LoraAdapter::load(options.adapter, names);
  }

  const Precision precision =
      resolve_precision(options.precision, options.device, checkpoint, stored);
  if (is_quantized(precision) && !options.pack) {
    throw ConfigError(fmt::format(
        "precision {} is for embedding only; expected auto, fp32 or bf16{}",
        precision_name(precision), stored ? " and weights that are not quantised" : ""));
  }
  TypeChecker types(names, report, checkpoint, stored, model_dir);
  visit(types);
  const LoraAdapter* const merged = adapter ? &*adapter : nullptr;
  std::unique_ptr<ParameterLoader> loader;
  if (options.pack) {
    loader = std::make_unique<PackingLoader>(checkpoint, names, report, merged, precision, options,
                                             stored.has_value());
  } else {
    loader = std::make_unique<PlainLoader>(checkpoint, names, report, merged, precision, options);
  }
  visit(*loader);
  const auto unknown = loader->unknown_adapter_modules();
  if (!unknown.empty()) {
    throw ConfigError(
        fmt::format("{}: {} modules of the adapter are not in the model, the first "
                    "is '{}'; made for another model?",
                    options.adapter.native(), unknown.size(), unknown.front()));
  }
  return precision;
}

}  // namespace e5v::detail
