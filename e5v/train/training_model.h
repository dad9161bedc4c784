#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/embed/prepare.h"
#include "e5v/lora/lora_modules.h"
#include "e5v/model/architecture.h"
#include "e5v/model/model.h"
#include "e5v/model/precision.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/training_batch.h"

namespace e5v::detail {

/// How a multimodal language model is held, and what of it moves.
struct TrainingModelOptions {
  /// "lora", or what is trained in full: any of "language_model", "projector", "vision_tower".
  std::vector<std::string> trainable = {"lora"};
  /// How the frozen weights are held: fp32, bf16, or nf4 (then products are bf16 where the
  /// processor has them, else fp32).
  Precision base_precision = Precision::kBFloat16;
  /// Keep only the layers' inputs and compute each layer again when its gradient is due.
  bool gradient_checkpointing = true;
  /// Chat template around the prompt; "auto": the model's own.
  std::string chat_template = "auto";
  LoraOptions lora;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError naming the field.
  void validate() const;

  bool trains_lora() const { return trainable == std::vector<std::string>{"lora"}; }
  /// The template that `chat_template` names. Throws ConfigError for an unknown one.
  ChatTemplate chat(const ItemPreparer& preparer) const;
};

/// The model as it is trained: frozen weights in the precision asked for, and the tensors that the
/// optimizer moves, either low-rank updates of the language model or whole parts.
class TrainingModel {
 public:
  /// Loads `model_dir`; the vision tower and projector only `with_pictures`. `adapter` (empty:
  /// none) is what low-rank updates begin from; without one they are drawn from `seed`.
  /// `with_head` also loads the language model's head, which is trained with it. Throws as
  /// load_model and apply_lora; ConfigError where a part is to be trained that only pictures reach.
  TrainingModel(const std::filesystem::path& model_dir, const TrainingModelOptions& options,
                int64_t seed, bool with_pictures, const std::filesystem::path& adapter = {},
                bool with_head = false);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const Architecture& architecture() const { return *architecture_; }

  /// States of the sequences' last tokens, [B, D] fp32; differentiable. With `dropout` the updates
  /// drop what these keys say, else nothing.
  at::Tensor encode(const PackedBatch& batch, const TokenKeys* dropout) const;

  /// What the tokens at `rows` [R] int64 say comes next: [R, vocabulary] fp32; differentiable.
  /// Needs the head.
  at::Tensor next_token_logits(const PackedBatch& batch, const at::Tensor& rows) const;

  /// Bytes of all weights that are held.
  int64_t num_weight_bytes() const;

  /// Writes what was trained into `folder`: a PEFT adapter, or "trained.safetensors" under
  /// canonical names.
  void save(const std::filesystem::path& folder) const;
  /// Reads back what `save` wrote, exactly. Throws FileError, FormatError, ConfigError.
  void load(const std::filesystem::path& folder);
  /// The result of a run: the adapter, or a complete checkpoint folder in which the trained tensors
  /// have replaced the old ones.
  void write_result(const std::filesystem::path& folder) const;

 private:
  std::filesystem::path model_dir_;
  TrainingModelOptions options_;
  std::shared_ptr<const Architecture> architecture_;
  std::unique_ptr<Model> model_;
  at::Tensor head_;  // [vocabulary, D] fp32; undefined without
  LoraModules lora_;
  std::vector<Parameter> parameters_;
};

}  // namespace e5v::detail
