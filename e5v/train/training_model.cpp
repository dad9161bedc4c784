#include "e5v/train/training_model.h"

#include <map>
#include <optional>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/model/checkpoint_keys.h"
#include "e5v/model/load_model.h"
#include "e5v/model/stored_tensor.h"
#include "e5v/nn/nf4.h"
#include "e5v/nn/packed_weight.h"
#include "e5v/train/rewrite_checkpoint.h"
#include "e5v/train/tensor_file.h"

namespace e5v {
namespace {

/// A trained weight: float32, multiplied in the operands' type.
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

bool is_in_part(const std::string& name, const std::string& part) {
  if (part == "language_model") return name.starts_with("language_model.");
  if (part == "projector") {
    return name.starts_with("multi_modal_projector.") || name == "image_newline";
  }
  return part == "vision_tower" && name.starts_with("vision_tower.");
}

bool is_trained(const std::string& name, const TrainOptions& options) {
  for (const std::string& part : options.trainable) {
    if (is_in_part(name, part)) return true;
  }
  return false;
}

/// Turns the tensors of the trained parts into leaves that get gradients.
class ParameterCollector final : public ParameterVisitor {
 public:
  explicit ParameterCollector(const TrainOptions& options) : options_(options) {}

  void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef) override {
    if (!value.defined() || !is_trained(name, options_)) return;
    value = value.to(at::kFloat).detach();  // tables are in the checkpoint's type until here
    add(name, value);
  }

  void linear(const std::string& name, Linear& linear) override {
    if (!linear.is_loaded() || !is_trained(name, options_)) return;
    add(name + ".weight", linear.storage().dense());
    if (linear.has_bias()) add(name + ".bias", linear.bias());
  }

  std::vector<Parameter> parameters;

 private:
  void add(const std::string& name, at::Tensor value) {
    parameters.push_back({name, value.requires_grad_()});
  }

  const TrainOptions& options_;
};

class ByteCounter final : public ParameterVisitor {
 public:
  void tensor(const std::string&, at::Tensor& value, at::IntArrayRef) override {
    if (value.defined()) bytes += static_cast<int64_t>(value.nbytes());
  }
  void linear(const std::string&, Linear& linear) override {
    if (linear.is_loaded()) bytes += linear.storage().num_bytes();
  }
  int64_t bytes = 0;
};

constexpr const char* kHead = "language_model.lm_head.weight";

/// The head's weight of a checkpoint in any layout. Throws FormatError if there is none.
at::Tensor load_head(const std::filesystem::path& model_dir, const LlavaConfig& config) {
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  if (config.text.tie_word_embeddings) {
    throw ConfigError(fmt::format(
        "{}: 'tie_word_embeddings' is true, expected a language model with a head of its own",
        model_dir.native()));
  }
  for (const std::string& name : checkpoint.names()) {
    if (canonical_key(name) != kHead) continue;
    at::Tensor head = copy_stored(*checkpoint.find(name), at::kFloat);
    if (head.dim() == 2 && head.size(1) == config.text.hidden_size) return head;
    throw FormatError(model_dir.native(), fmt::format("tensor '{}' is not [vocabulary, {}]", name,
                                                      config.text.hidden_size));
  }
  throw FormatError(model_dir.native(), fmt::format("there is no tensor '{}'", kHead));
}

Precision load_precision(BasePrecision precision) {
  const bool narrow = precision == BasePrecision::kBFloat16 ||
                      (precision == BasePrecision::kNf4 && PackedWeight::has_native_bfloat16());
  return narrow ? Precision::kBFloat16 : Precision::kFloat32;
}

}  // namespace

TrainingModel::TrainingModel(const std::filesystem::path& model_dir, const TrainOptions& options,
                             bool with_pictures, const std::filesystem::path& adapter,
                             bool with_head)
    : model_dir_(model_dir), options_(options) {
  for (const std::string& part : options.trainable) {
    if (!with_pictures && (part == "projector" || part == "vision_tower")) {
      throw ConfigError(
          fmt::format("'trainable' has '{}', but the data has no pictures to train it on", part));
    }
  }
  const bool quantize = options.base_precision == BasePrecision::kNf4;
  LoadOptions load;
  load.precision = load_precision(options.base_precision);
  load.pack = false;
  if (!with_pictures) load.only = {"language_model."};
  load.make_storage = [&](const std::string& name,
                          const at::Tensor& weight) -> std::unique_ptr<LinearStorage> {
    if (is_trained(name, options)) {
      return std::make_unique<MasterStorage>(weight.to(at::kFloat, false, /*copy=*/true));
    }
    const bool in_language_model = name.starts_with("language_model.");
    if (quantize && in_language_model) return std::make_unique<Nf4Storage>(weight);
    return nullptr;
  };
  model_ = load_model(model_dir, load);
  if (with_head) head_ = load_head(model_dir, model_->config());
  model_->set_recompute_layers(options.gradient_checkpointing);
  if (options.trains_lora()) {
    std::optional<LoraAdapter> start;
    if (!adapter.empty()) start = LoraAdapter::load(adapter);
    lora_ = apply_lora(*model_, options.lora, static_cast<uint64_t>(options.seed),
                       start ? &*start : nullptr);
    parameters_ = lora_.parameters();
  } else {
    if (!adapter.empty()) {
      throw ConfigError("--adapter is given, but 'trainable' is not lora; merge it first");
    }
    ParameterCollector collector(options);
    model_->visit_parameters(collector);
    parameters_ = std::move(collector.parameters);
    if (with_head && is_trained(kHead, options)) {
      parameters_.push_back({kHead, head_.requires_grad_()});
    }
  }
}

at::Tensor TrainingModel::encode(const TrainingRows& rows, const ImageProcessor* image_processor,
                                 const TokenKeys* dropout) const {
  if (lora_.dropout) {
    if (dropout != nullptr) {
      lora_.dropout->begin(dropout->tokens, dropout->last);
    } else {
      lora_.dropout->end();
    }
  }
  return model_->forward(pack_rows(rows, image_processor));
}

at::Tensor TrainingModel::next_token_logits(const PackedBatch& batch,
                                            const at::Tensor& rows) const {
  E5V_ASSERT(head_.defined());
  const at::ScalarType dtype = model_->compute_dtype();
  const at::Tensor states = model_->forward_tokens(batch, rows);
  return at::linear(states.to(dtype), head_.to(dtype)).to(at::kFloat);
}

int64_t TrainingModel::num_weight_bytes() const {
  ByteCounter counter;
  model_->visit_parameters(counter);
  return counter.bytes;
}

void TrainingModel::save(const std::filesystem::path& folder) const {
  if (options_.trains_lora()) {
    write_adapter(folder, lora_, options_.lora, model_dir_.string());
    return;
  }
  std::map<std::string, at::Tensor> tensors;
  for (const Parameter& parameter : parameters_) tensors[parameter.name] = parameter.value;
  write_tensor_file(folder / "trained.safetensors", tensors);
}

void TrainingModel::load(const std::filesystem::path& folder) {
  const at::NoGradGuard no_grad;
  const auto tensors = read_tensor_file(
      folder / (options_.trains_lora() ? "adapter_model.safetensors" : "trained.safetensors"));
  for (Parameter& parameter : parameters_) {
    const auto found = tensors.find(parameter.name);
    if (found == tensors.end() || found->second.sizes() != parameter.value.sizes()) {
      throw ConfigError(
          fmt::format("{}: '{}' is missing or has another shape; made for another "
                      "model?",
                      folder.native(), parameter.name));
    }
    parameter.value.copy_(found->second);
  }
}

void TrainingModel::write_result(const std::filesystem::path& folder) const {
  if (options_.trains_lora()) {
    write_adapter(folder, lora_, options_.lora, model_dir_.string());
    return;
  }
  std::map<std::string, at::Tensor> trained;
  for (const Parameter& parameter : parameters_) trained[parameter.name] = parameter.value;
  rewrite_checkpoint(
      model_dir_, folder / "model", [&](const std::string& name, const at::Tensor& stored) {
        const auto found = trained.find(name);
        return found == trained.end() ? std::optional<at::Tensor>()
                                      : found->second.detach().reshape(stored.sizes());
      });
}

}  // namespace e5v
