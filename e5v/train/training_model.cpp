#include "e5v/train/training_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/families/load_model.h"
#include "e5v/families/registry.h"
#include "e5v/model/precision_forms.h"
#include "e5v/nn/nf4.h"
#include "e5v/nn/stored_tensor.h"
#include "e5v/train/trained_parameters.h"

namespace e5v::detail {
namespace {

/// What `trainable` calls a part.
PartKind part_from_name(const std::string& name) {
  if (name == "language_model") return PartKind::kTextModel;
  return name == "projector" ? PartKind::kProjector : PartKind::kVisionTower;
}

/// Whether the weight is trained in full.
bool is_trained(const WeightNames& names, const std::string& name,
                const TrainingModelOptions& options) {
  if (options.trains_lora()) return false;
  return std::any_of(
      options.trainable.begin(), options.trainable.end(),
      [&](const std::string& part) { return names.kind_of(name) == part_from_name(part); });
}

/// The head's weight of a checkpoint in any layout. Throws FormatError if there is none.
at::Tensor load_head(const std::filesystem::path& model_dir, const Architecture& architecture) {
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  if (architecture.text().tie_word_embeddings) {
    throw ConfigError(fmt::format(
        "{}: 'tie_word_embeddings' is true, expected a language model with a head of its own",
        model_dir.native()));
  }
  const WeightNames& names = architecture.weight_names();
  const int64_t width = architecture.text().hidden_size;
  const auto name = names.find_stored(checkpoint.names(), names.lm_head);
  if (!name) {
    throw FormatError(model_dir.native(), fmt::format("there is no tensor '{}'", names.lm_head));
  }
  at::Tensor head = copy_stored(*checkpoint.find(*name), at::kFloat);
  if (head.dim() == 2 && head.size(1) == width) return head;
  throw FormatError(model_dir.native(),
                    fmt::format("tensor '{}' is not [vocabulary, {}]", *name, width));
}

/// What the weights are before those of the language model are rounded.
Precision load_precision(Precision base) {
  return compute_dtype(base) == at::kBFloat16 ? Precision::kBFloat16 : Precision::kFloat32;
}

}  // namespace

void TrainingModelOptions::register_options(OptionRegistry& registry) {
  registry.add("trainable", trainable, "lora, or in full: language_model, projector, vision_tower");
  registry.add(
      "base-precision", base_precision,
      {{"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}, {"nf4", Precision::kNf4}},
      "How frozen weights are held");
  registry.add("gradient-checkpointing", gradient_checkpointing,
               "Compute each layer a second time rather than keep what it computed");
  registry.add("chat-template", chat_template,
               "Chat template around the prompt; auto = the model's");
  lora.register_options(registry);
}

void TrainingModelOptions::validate() const {
  validate_trainable(trainable, {"lora", "language_model", "projector", "vision_tower"});
  for (const std::string& part : trainable) {
    if (part == "lora" && !trains_lora()) {
      throw ConfigError("'trainable' has 'lora' and others, expected either lora or whole parts");
    }
  }
  if (!trains_lora() && base_precision == Precision::kNf4) {
    throw ConfigError("'base_precision' is nf4, expected fp32 or bf16 where weights are trained");
  }
  lora.validate();
}

ChatTemplate TrainingModelOptions::chat(const ItemPreparer& preparer) const {
  return chat_template == "auto" ? preparer.chat_template() : find_chat_template(chat_template);
}

TrainingModel::TrainingModel(const std::filesystem::path& model_dir,
                             const TrainingModelOptions& options, int64_t seed, bool with_pictures,
                             const std::filesystem::path& adapter, bool with_head)
    : model_dir_(model_dir), options_(options), architecture_(load_architecture(model_dir)) {
  const WeightNames& names = architecture_->weight_names();
  for (const std::string& part : options.trainable) {
    if (!with_pictures && (part == "projector" || part == "vision_tower")) {
      throw ConfigError(
          fmt::format("'trainable' has '{}', but the data has no pictures to train it on", part));
    }
  }
  const bool quantize = options.base_precision == Precision::kNf4;
  LoadOptions load;
  load.precision = load_precision(options.base_precision);
  load.pack = false;
  if (!with_pictures) load.only = names.prefixes_of(PartKind::kTextModel);
  load.make_storage = [&](const std::string& name,
                          const at::Tensor& weight) -> std::unique_ptr<LinearStorage> {
    if (is_trained(names, name, options)) {
      return make_master_storage(weight);
    }
    if (quantize && names.in_text_model(name)) return std::make_unique<Nf4Storage>(weight);
    return nullptr;
  };
  model_ = load_model(model_dir, load);
  if (with_head) head_ = load_head(model_dir, *architecture_);
  model_->set_recompute_layers(options.gradient_checkpointing);
  if (options.trains_lora()) {
    std::optional<LoraAdapter> start;
    if (!adapter.empty()) start = LoraAdapter::load(adapter, names);
    lora_ = apply_lora([&](ParameterVisitor& visitor) { model_->visit_parameters(visitor); }, names,
                       options.lora, static_cast<uint64_t>(seed), start ? &*start : nullptr);
    for (auto& [name, value] : lora_.tensors()) parameters_.push_back({name, value});
  } else {
    if (!adapter.empty()) {
      throw ConfigError("--adapter is given, but 'trainable' is not lora; merge it first");
    }
    ParameterCollector collector(
        [&](const std::string& name) { return is_trained(names, name, options); });
    model_->visit_parameters(collector);
    parameters_ = std::move(collector.parameters);
    if (with_head && is_trained(names, names.lm_head, options)) {
      parameters_.push_back({names.lm_head, head_.requires_grad_()});
    }
  }
}

at::Tensor TrainingModel::encode(const PackedBatch& batch, const TokenKeys* dropout) const {
  if (lora_.dropout) {
    if (dropout != nullptr) {
      lora_.dropout->begin(dropout->tokens, dropout->last);
    } else {
      lora_.dropout->end();
    }
  }
  return model_->forward(batch);
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
    write_adapter(folder, lora_, architecture_->weight_names(), options_.lora, model_dir_.string());
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
    write_adapter(folder, lora_, architecture_->weight_names(), options_.lora, model_dir_.string());
    return;
  }
  write_trained_checkpoint(model_dir_, architecture_->weight_names(), folder / "model",
                           parameters_);
}

}  // namespace e5v::detail
