#include "e5v/model/quantize_checkpoint.h"

#include <malloc.h>

#include <functional>
#include <set>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/new_folder.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/llava_next.h"
#include "e5v/model/model_folder.h"
#include "e5v/model/stored_precision.h"
#include "e5v/model/stored_tensor.h"
#include "e5v/nn/fused_linear.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

/// Weights that are rounded together: a Linear's, or those of one FusedLinear.
struct WeightGroup {
  WeightForm form;
  int64_t in_features;
  std::vector<int64_t> out_features;  // of each part
  std::vector<std::string> names;     // as stored
};

/// Lists them in the order of the model.
class GroupLister final : public ParameterVisitor {
 public:
  GroupLister(const CheckpointReport& report, Precision precision)
      : report_(report), precision_(precision) {}

  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}
  void linear(const std::string& name, Linear& linear) override {
    add(start_group(name, linear), name, linear);
  }
  void fused(FusedLinear& linears) override {
    WeightGroup* group = nullptr;
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      const std::string name = full_name(linears.name(i));
      if (i == 0) group = start_group(name, linears.part(i));
      add(group, name, linears.part(i));
    }
  }

  std::vector<WeightGroup> groups;

 private:
  /// nullptr where the weight stays as it is.
  WeightGroup* start_group(const std::string& name, const Linear& linear) {
    const WeightForm form = weight_form(name, precision_);
    if (form_tensors(form, 1, 1).empty()) return nullptr;
    return &groups.emplace_back(WeightGroup{form, linear.in_features(), {}, {}});
  }
  void add(WeightGroup* group, const std::string& name, const Linear& linear) const {
    if (group == nullptr) return;
    group->out_features.push_back(linear.out_features());
    group->names.push_back(report_.sources.at(name + ".weight"));
  }

  const CheckpointReport& report_;
  Precision precision_;
};

std::vector<TensorSpec> specs_of(const WeightGroup& group) {
  std::vector<TensorSpec> specs;
  for (size_t part = 0; part < group.names.size(); ++part) {
    for (const FormTensor& tensor :
         form_tensors(group.form, group.out_features[part], group.in_features)) {
      specs.push_back(
          {group.names[part] + tensor.suffix, stored_dtype(tensor.dtype), tensor.shape});
    }
  }
  return specs;
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

void write_group(const WeightGroup& group, const Checkpoint& checkpoint, CheckpointWriter& writer,
                 const std::function<void(const std::string&)>& on_done) {
  std::vector<at::Tensor> weights;
  for (size_t part = 0; part < group.names.size(); ++part) {
    weights.push_back(view_stored(*checkpoint.find(group.names[part]))
                          .reshape({group.out_features[part], group.in_features}));
  }
  const std::vector<RoundedPart> rounded = round_parts(weights, group.form);
  weights.clear();
  const std::vector<TensorSpec> specs = specs_of(group);
  size_t next = 0;
  for (const RoundedPart& part : rounded) {
    for (const at::Tensor& tensor : part) {
      writer.write(specs.at(next++).name, bytes_of(tensor.contiguous()));
    }
  }
  for (const std::string& name : group.names) on_done(name);
}

}  // namespace

void quantize_checkpoint(const fs::path& source, const fs::path& target, Precision precision,
                         const ProgressCallback& progress) {
  if (!is_quantized(precision)) {
    throw ConfigError(fmt::format("precision {} is none to quantise to; expected int8, int4 or nf4",
                                  precision_name(precision)));
  }
  const at::NoGradGuard no_grad;
  if (const auto stored = stored_precision(source)) {
    throw ConfigError(fmt::format("{}: is quantised to {} already; expected floating-point weights",
                                  source.native(), precision_name(*stored)));
  }
  NewFolder folder(target, "a model");
  LlavaNext model(LlavaConfig::load(source));
  const Checkpoint checkpoint = Checkpoint::open(source);
  const CheckpointReport report = compare_with_checkpoint(model, checkpoint);
  if (!report.complete()) {
    throw FormatError(source.native(), "the weights do not fit config.json: " + report.summary());
  }
  GroupLister lister(report, precision);
  model.visit_parameters(lister);

  std::vector<TensorSpec> specs;
  std::set<std::string> rounded;
  for (const WeightGroup& group : lister.groups) {
    for (TensorSpec& spec : specs_of(group)) specs.push_back(std::move(spec));
    rounded.insert(group.names.begin(), group.names.end());
  }
  uint64_t total = 0, done = 0;
  std::vector<std::string> copied;
  for (const std::string& name : checkpoint.names()) {
    const TensorView view = *checkpoint.find(name);
    total += view.bytes.size();
    if (rounded.contains(name)) {
      if (!is_floating_point(view.dtype)) {
        throw FormatError(source.native(),
                          fmt::format("tensor '{}' is of type {}, expected a floating-point type",
                                      name, dtype_name(view.dtype)));
      }
      continue;
    }
    copied.push_back(name);
    specs.push_back({name, view.dtype, {view.shape.begin(), view.shape.end()}});
  }

  CheckpointWriter writer(folder.path(), std::move(specs));
  const auto finish = [&](const std::string& name) {
    done += checkpoint.find(name)->bytes.size();
    checkpoint.release(name);
    ::malloc_trim(0);
    if (progress) progress(done, total);
  };
  for (const WeightGroup& group : lister.groups) write_group(group, checkpoint, writer, finish);
  for (const std::string& name : copied) {
    writer.write(name, checkpoint.find(name)->bytes);
    finish(name);
  }
  writer.commit();
  copy_other_files(source, folder.path());
  Json config = read_json(source / "config.json");
  config["quantization_config"] = quantization_config(precision);
  write_file(folder.path() / "config.json", config.dump(2) + "\n");
  folder.commit();
}

}  // namespace e5v
