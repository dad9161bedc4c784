#include "e5v/convert/quantize_checkpoint.h"

#include <malloc.h>

#include <set>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/new_folder.h"
#include "e5v/convert/calibration.h"
#include "e5v/convert/model_folder.h"
#include "e5v/families/registry.h"
#include "e5v/model/checkpoint_matcher.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/model.h"
#include "e5v/model/packed_batch.h"
#include "e5v/model/stored_precision.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

std::vector<TensorSpec> specs_of(const WeightGroup& group) {
  std::vector<TensorSpec> specs;
  for (const WeightGroup::Part& part : group.parts) {
    for (const FormTensor& tensor :
         group.form->tensors(part.linear->out_features(), group.in_features())) {
      specs.push_back({part.stored_name + tensor.suffix, stored_dtype(tensor.dtype), tensor.shape});
    }
  }
  return specs;
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

/// Rounds a group, for `inputs` where there are some, and writes it.
std::vector<RoundedPart> write_group(const WeightGroup& group, const at::Tensor& inputs,
                                     const Checkpoint& checkpoint, CheckpointWriter& writer) {
  std::vector<at::Tensor> weights;
  for (const auto& [stored_name, linear] : group.parts) {
    weights.push_back(view_stored(*checkpoint.find(stored_name))
                          .reshape({linear->out_features(), linear->in_features()}));
  }
  std::vector<RoundedPart> rounded = group.form->round(weights, inputs);
  weights.clear();
  const std::vector<TensorSpec> specs = specs_of(group);
  size_t next = 0;
  for (const RoundedPart& part : rounded) {
    for (const at::Tensor& tensor : part) {
      writer.write(specs.at(next++).name, bytes_of(tensor.contiguous()));
    }
  }
  return rounded;
}

}  // namespace

void quantize_checkpoint(const fs::path& source, const fs::path& target, Precision precision,
                         const ProgressCallback& progress, const PackedBatch* calibration) {
  if (!is_quantized(precision)) {
    throw ConfigError(fmt::format("precision {} is none to quantise to; expected {}",
                                  precision_name(precision), quantized_precision_names()));
  }
  if (calibration != nullptr && !can_be_calibrated(precision)) {
    throw ConfigError(
        fmt::format("precision {} is not calibrated; expected int4", precision_name(precision)));
  }
  const at::NoGradGuard no_grad;
  if (const auto stored = stored_precision(source)) {
    throw ConfigError(fmt::format("{}: is quantised to {} already; expected floating-point weights",
                                  source.native(), precision_name(*stored)));
  }
  NewFolder folder(target, "a model");
  const auto architecture = load_architecture(source);
  const WeightNames& names = architecture->weight_names();
  const std::unique_ptr<Model> model = architecture->make_model();
  const Checkpoint checkpoint = Checkpoint::open(source);
  const CheckpointReport report = compare_with_checkpoint(*model, checkpoint, names);
  if (!report.complete()) {
    throw FormatError(source.native(), "the weights do not fit config.json: " + report.summary());
  }
  const std::vector<WeightGroup> groups = list_weight_groups(*model, names, report, precision);

  std::vector<TensorSpec> specs;
  std::set<std::string> rounded;
  for (const WeightGroup& group : groups) {
    for (TensorSpec& spec : specs_of(group)) specs.push_back(std::move(spec));
    for (const WeightGroup::Part& part : group.parts) rounded.insert(part.stored_name);
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
  const RoundGroup round = [&](const WeightGroup& group, const at::Tensor& inputs) {
    std::vector<RoundedPart> parts = write_group(group, inputs, checkpoint, writer);
    for (const WeightGroup::Part& part : group.parts) finish(part.stored_name);
    return parts;
  };
  std::vector<WeightGroup> in_passing;
  for (const WeightGroup& group : groups) {
    if (calibration != nullptr && group.is_in_language_model) {
      in_passing.push_back(group);
    } else {
      round(group, {});
    }
  }
  if (calibration != nullptr) {
    round_in_passing(*model, names, source, in_passing, precision, *calibration, round);
  }
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

}  // namespace e5v::detail
