#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/base/options.h"
#include "e5v/lora/lora_modules.h"
#include "e5v/model/precision.h"
#include "e5v/train/contrastive_loss.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/triplets.h"

namespace e5v {

/// What a model is trained for; see objective.h.
enum class TrainingObjective {
  kContrastive,  ///< "contrastive": triplets
  kLanguage,     ///< "language": the answers of conversations
  kClip,         ///< "clip": pictures and their texts, for a CLIP folder
};

/// What the loss of conversations is the mean over.
enum class AverageOver {
  kTokens,         ///< "tokens": every learned token
  kConversations,  ///< "conversations": each counts as much, however long its answers are
};

/// On which bytes a text is trained.
enum class PromptMode {
  kClean,      ///< "clean": the very prompt that embedding uses, without padding
  kPaperCode,  ///< "paper-code": what the published script does, its slips included
};

/// Everything that a training run depends on besides the files it reads: what a recipe holds.
struct TrainOptions {
  TrainingObjective objective = TrainingObjective::kContrastive;
  AverageOver average_over = AverageOver::kTokens;
  PromptMode prompts = PromptMode::kClean;
  /// Chat template around the prompt; "auto": the model's own.
  std::string chat_template = "auto";
  /// Sentences are cut to this many tokens before the prompt is put around them; 0 = never.
  int64_t max_sentence_tokens = 0;
  /// Rows of one step, over all processes.
  int64_t batch_size = 768;
  /// Rows that are in memory at once, in each process.
  int64_t micro_batch_size = 24;
  int64_t epochs = 2;
  /// Ends earlier than the epochs; 0 = not.
  int64_t max_steps = 0;
  int64_t seed = 42;
  bool shuffle = true;
  /// "lora", or what is trained in full: any of "language_model", "projector", "vision_tower"; of
  /// CLIP "text_tower", "vision_tower".
  std::vector<std::string> trainable = {"lora"};
  /// How the frozen weights are held: fp32, bf16, or nf4 (then products are bf16 where the
  /// processor has them, else fp32).
  Precision base_precision = Precision::kBFloat16;
  /// Keep only the layers' inputs and compute each layer again when its gradient is due.
  bool gradient_checkpointing = true;
  /// Steps between checkpoints; 0 = none but the end.
  int64_t save_every = 50;
  /// Checkpoints that stay; older ones are removed.
  int64_t keep_checkpoints = 2;
  /// Steps between evaluations of the held-out file.
  int64_t eval_every = 50;
  /// Rows of the held-out file that each of them looks at, from its begin; 0 = all.
  int64_t eval_rows = 2048;

  LoraOptions lora;
  ContrastiveOptions loss;
  OptimizerOptions optimizer;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError naming the field.
  void validate() const;

  bool trains_lora() const { return trainable == std::vector<std::string>{"lora"}; }
};

/// All options under their recipe names (the flags' names with underscores).
Json to_json(TrainOptions options);

/// Sets the options that `recipe` names, leaves the others. `source` names it in errors. A key
/// "description" is not looked at. Throws ConfigError for a key that is no option, or a value of
/// another type.
void apply_recipe(const Json& recipe, std::string_view source, TrainOptions& options);

/// The recipe that `file_or_name` says: a file, or the name of one that comes with the program
/// (recipes/NAME.json). Throws ConfigError listing the names, FileError or FormatError.
Json find_recipe(const std::string& file_or_name);
std::vector<std::string> recipe_names();

/// The revision of the source that this program was built from, or "unknown".
std::string program_revision();

}  // namespace e5v
