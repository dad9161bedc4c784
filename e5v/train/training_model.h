#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/log.h"
#include "e5v/lora/lora_modules.h"
#include "e5v/model/architecture.h"
#include "e5v/train/train_options.h"
#include "e5v/train/training_batch.h"

namespace e5v {

/// The model as it is trained: frozen weights in the precision asked for, and the tensors that the
/// optimizer moves, either low-rank updates of the language model or whole parts.
class TrainingModel {
 public:
  /// Loads `model_dir`; the vision tower and projector only `with_pictures`. `adapter` (empty:
  /// none) is what low-rank updates begin from. Throws as load_model and apply_lora; ConfigError
  /// where a part is to be trained that only pictures reach.
  /// `with_head` also loads the language model's head, which is trained with it.
  TrainingModel(const std::filesystem::path& model_dir, const TrainOptions& options,
                bool with_pictures, const std::filesystem::path& adapter = {},
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
  TrainOptions options_;
  std::shared_ptr<const Architecture> architecture_;
  std::unique_ptr<Model> model_;
  at::Tensor head_;  // [vocabulary, D] fp32; undefined without
  LoraModules lora_;
  std::vector<Parameter> parameters_;
};

}  // namespace e5v
