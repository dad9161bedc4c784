#include "e5v/convert/inspect_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/families/registry.h"
#include "e5v/model/checkpoint_matcher.h"
#include "e5v/model/model.h"
#include "e5v/model/precision_forms.h"
#include "e5v/model/stored_precision.h"
#include "e5v/nn/linear.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

uint64_t num_elements(at::IntArrayRef shape) {
  return checked_num_elements({shape.data(), shape.size()}).value_or(0);
}

/// Counts the parameters by part and by how load_model stores them.
class ParameterCounter final : public ParameterVisitor {
 public:
  explicit ParameterCounter(const Architecture& architecture)
      : names_(architecture.weight_names()), vocab_size_(architecture.text().vocab_size) {
    for (const WeightNames::Part& part : names_.parts) {
      if (part.kind == PartKind::kTextModel) add_part("token embeddings");
      add_part(part.title);
    }
  }

  void tensor(const std::string& name, at::Tensor&, at::IntArrayRef shape) override {
    std::vector<int64_t> sizes = shape.vec();
    const bool is_table = !sizes.empty() && sizes[0] == -1;
    if (is_table) sizes[0] = vocab_size_;
    const uint64_t count = num_elements(sizes);
    (is_table ? table_elements : float32_elements) += count;
    part_of(name, is_table) += count;
  }
  void linear(const std::string& name, Linear& linear) override {
    const uint64_t weights = num_elements(linear.checkpoint_shape());
    const uint64_t biases = linear.has_bias() ? static_cast<uint64_t>(linear.out_features()) : 0;
    for (const Precision precision : quantized_precisions()) {
      const double bits = weight_form(names_, name, precision).bits_per_value();
      quantized_bytes[precision] += static_cast<uint64_t>(static_cast<double>(weights) * bits / 8);
    }
    matrix_elements += weights;
    float32_elements += biases;
    part_of(name, false) += weights + biases;
  }

  std::vector<ModelInspection::Part> parts;
  std::map<Precision, uint64_t> quantized_bytes;  // of matrix products
  uint64_t matrix_elements = 0;                   // of matrix products: in the chosen precision
  uint64_t table_elements = 0;                    // as the checkpoint has them
  uint64_t float32_elements = 0;                  // all others

 private:
  std::vector<ModelInspection::Part>::iterator find_part(std::string_view title) {
    return std::find_if(parts.begin(), parts.end(),
                        [&](const auto& part) { return part.name == title; });
  }
  /// Once: several prefixes may have one title.
  void add_part(const std::string& title) {
    if (find_part(title) == parts.end()) parts.push_back({title, 0});
  }
  uint64_t& part_of(const std::string& name, bool is_table) {
    const auto found = find_part(is_table ? "token embeddings" : names_.title_of(name));
    E5V_ASSERT(found != parts.end());
    return found->num_parameters;
  }

  const WeightNames& names_;
  int64_t vocab_size_;
};

void look_at_weights(const fs::path& model_dir, Model& model, ModelInspection& found) {
  if (!Checkpoint::exists(model_dir)) return;
  try {
    const Checkpoint checkpoint = Checkpoint::open(model_dir);
    found.has_weights = true;
    for (const fs::path& file : checkpoint.files()) {
      found.weight_files.push_back({file.filename().native(), fs::file_size(file)});
    }
    for (const std::string& name : checkpoint.names()) {
      const TensorView tensor = *checkpoint.find(name);
      found.stored_types[tensor.dtype].num_tensors += 1;
      found.stored_types[tensor.dtype].num_bytes += tensor.bytes.size();
    }
    found.stored_precision = stored_precision(model_dir);
    found.report = compare_with_checkpoint(model, checkpoint, found.architecture->weight_names(),
                                           found.stored_precision);
    found.num_unused_tensors = checkpoint.names().size() - found.report.sources.size() -
                               found.report.misshaped.size() - found.report.unexpected.size();
  } catch (const Error& error) {
    found.has_weights = false;
    found.weights_error = error.what();
  }
}

/// Bytes of an embedding's element: as stored, or 2 as in published checkpoints.
uint64_t table_element_bytes(const ModelInspection& found) {
  uint64_t most_bytes = 0, element_bytes = 2;
  for (const auto& [dtype, stored] : found.stored_types) {
    if (!is_floating_point(dtype) || stored.num_bytes <= most_bytes) continue;
    most_bytes = stored.num_bytes;
    element_bytes = dtype_bytes(dtype);
  }
  return element_bytes;
}

}  // namespace

uint64_t ModelInspection::num_parameters() const {
  uint64_t sum = 0;
  for (const Part& part : parts) sum += part.num_parameters;
  return sum;
}

std::string ModelInspection::problems() const {
  std::vector<std::string> problems;
  if (!weights_error.empty()) {
    problems.push_back(weights_error);
  } else if (has_weights && !report.complete()) {
    CheckpointReport fatal = report;
    fatal.unexpected.clear();  // loading only warns of these
    problems.push_back("tensors " + fatal.summary());
  }
  return fmt::format("{}", fmt::join(problems, "; "));
}

ModelInspection inspect_model(const fs::path& model_dir) {
  ModelInspection found;
  found.architecture = load_architecture(model_dir);
  const std::unique_ptr<Model> model = found.architecture->make_model();
  ParameterCounter counter(*found.architecture);
  model->visit_parameters(counter);
  found.parts = counter.parts;
  look_at_weights(model_dir, *model, found);
  std::map<Precision, uint64_t> matrix_bytes = counter.quantized_bytes;
  if (!found.stored_precision) {
    matrix_bytes[Precision::kFloat32] = counter.matrix_elements * 4;
    matrix_bytes[Precision::kBFloat16] = counter.matrix_elements * 2;
    matrix_bytes[Precision::kFloat16] = counter.matrix_elements * 2;
  }
  for (const auto& [precision, bytes] : matrix_bytes) {
    if (found.stored_precision && precision != *found.stored_precision) continue;
    found.memory_bytes[precision] =
        bytes + counter.table_elements * table_element_bytes(found) + counter.float32_elements * 4;
  }
  std::error_code ignored;
  const auto has = [&](const char* name) { return fs::exists(model_dir / name, ignored); };
  if (!has("tokenizer.json")) found.missing_files.push_back("tokenizer.json");
  // Since transformers 5 the picture settings may be in processor_config.json.
  if (!has("preprocessor_config.json") && !has("processor_config.json")) {
    found.missing_files.push_back("preprocessor_config.json");
  }
  return found;
}

}  // namespace e5v::detail
