#include "e5v/train/training_model.h"

#include <optional>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/model/checkpoint_keys.h"
#include "e5v/model/load_model.h"
#include "e5v/model/stored_tensor.h"
#include "e5v/nn/nf4.h"
#include "e5v/nn/packed_weight.h"
#include "e5v/train/trained_parameters.h"

namespace e5v {
namespace {

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
      return make_master_storage(weight);
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
    ParameterCollector collector(
        [&](const std::string& name) { return is_trained(name, options); });
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
  save_parameters(folder / "trained.safetensors", parameters_);
}

void TrainingModel::load(const std::filesystem::path& folder) {
  load_parameters_of(parameters_, folder / (options_.trains_lora() ? "adapter_model.safetensors"
                                                                   : "trained.safetensors"));
}

void TrainingModel::write_result(const std::filesystem::path& folder) const {
  if (options_.trains_lora()) {
    write_adapter(folder, lora_, options_.lora, model_dir_.string());
    return;
  }
  write_trained_checkpoint(model_dir_, folder / "model", parameters_);
}

}  // namespace e5v
