#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "e5v/embed/prepare.h"
#include "e5v/train/conversations.h"
#include "e5v/train/objective.h"
#include "e5v/train/training_model.h"

namespace e5v::detail {

/// What the loss of conversations is the mean over.
enum class AverageOver {
  kTokens,         ///< "tokens": every learned token
  kConversations,  ///< "conversations": each counts as much, however long its answers are
};

struct LanguageTrainOptions final : TrainOptions {
  AverageOver average_over = AverageOver::kTokens;
  TrainingModelOptions model;

  std::string_view objective() const override { return "language"; }
  void register_options(OptionRegistry& registry) override;
  void validate() const override;
  std::unique_ptr<Objective> open(const TrainFiles& files, ProcessGroup& group,
                                  const ObjectiveCallbacks& callbacks) const override;
  double flops_per_token(const std::filesystem::path& model_dir) const override;
};

/// Conversations as sequences, and which of their tokens are learned.
struct LanguageBatch {
  std::vector<PreparedItem> items;
  std::vector<int64_t> rows;     ///< among all tokens: those whose next token is learned, ascending
  std::vector<int64_t> targets;  ///< that next token; a row stands here once for each right one
  std::vector<float> weights;    ///< of each target in the loss: 1, shared by a row's targets
  std::vector<int64_t> answers;  ///< of each target, the number of its answer in the batch
  int64_t num_answers = 0;

  int64_t num_tokens() const;
};

/// Makes sequences of conversations: each turn in the model's chat template, after it the answer
/// and the tokenizer's eos; answers and their eos are what is learned. With kConversations the
/// weights of each conversation are scaled to a sum of 1.
/// Throws InputError naming the line in `file` of what cannot be prepared.
LanguageBatch prepare_conversations(const ConversationFile& file,
                                    const std::vector<uint32_t>& indices,
                                    const ItemPreparer& preparer, ChatTemplate chat,
                                    AverageOver average_over = AverageOver::kTokens);

/// The next token of answers, given everything before: pretraining of a language model on texts
/// and questions about them, and, with the language model frozen, alignment of a vision tower and
/// projector by what pictures are answered with. The loss is the mean over the batch's learned
/// tokens, or over its conversations (`average_over`). Low-rank updates are trained without
/// dropout.
class LanguageObjective final : public Objective {
 public:
  /// Opens the data and loads the model. Throws FileError, FormatError, ConfigError.
  LanguageObjective(const TrainFiles& files, const LanguageTrainOptions& options,
                    ProcessGroup& group, const ObjectiveCallbacks& callbacks);

  int64_t num_rows() const override { return static_cast<int64_t>(data_.size()); }
  uint64_t line_of(uint32_t row) const override { return data_.line_of(row); }
  const std::vector<Parameter>& parameters() const override { return model_.parameters(); }
  int64_t num_weight_bytes() const override { return model_.num_weight_bytes(); }

  ObjectiveResult add_gradients(const std::vector<uint32_t>& rows, int64_t step) override;
  /// `eval_loss`, and `eval_accuracy`: the share of answers of which every token is the likeliest
  /// (where several are right, one of them).
  Json evaluate() override;
  void add_costs(int64_t num_rows, TrainingCost& cost,
                 std::optional<TrainingCost>& picture_cost) const override;

  void save(const std::filesystem::path& folder) const override { model_.save(folder); }
  void load(const std::filesystem::path& folder) override { model_.load(folder); }
  void write_result(const std::filesystem::path& folder) const override {
    model_.write_result(folder);
  }

 private:
  /// This rank's share of `rows`, in micro-batches.
  std::vector<LanguageBatch> make_batches(const ConversationFile& file,
                                          const std::vector<uint32_t>& rows) const;
  /// [targets, vocabulary] fp32.
  at::Tensor logits(const LanguageBatch& batch) const;

  LanguageTrainOptions options_;
  ProcessGroup& group_;
  ConversationFile data_;
  std::optional<ConversationFile> eval_data_;
  ItemPreparer preparer_;
  ChatTemplate chat_;
  TrainingModel model_;
};

}  // namespace e5v::detail
