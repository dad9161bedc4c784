#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "e5v/embed/prepare.h"
#include "e5v/train/contrastive_loss.h"
#include "e5v/train/objective.h"
#include "e5v/train/training_batch.h"
#include "e5v/train/training_model.h"
#include "e5v/train/training_prompt.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {

struct ContrastiveTrainOptions final : TrainOptions {
  TrainingPromptOptions prompt;
  TrainingModelOptions model;
  ContrastiveOptions loss;

  std::string_view objective() const override { return "contrastive"; }
  void register_options(OptionRegistry& registry) override;
  void validate() const override;
  std::unique_ptr<Objective> open(const TrainFiles& files, ProcessGroup& group,
                                  const ObjectiveCallbacks& callbacks) const override;
  double flops_per_token(const std::filesystem::path& model_dir) const override;
};

/// Triplets: an anchor lies nearer to its positive than to every other row's positive and to hard
/// negatives. What the paper calls single modality training.
class ContrastiveObjective final : public Objective {
 public:
  /// Opens the data and loads the model. Throws FileError, FormatError, ConfigError.
  ContrastiveObjective(const TrainFiles& files, const ContrastiveTrainOptions& options,
                       ProcessGroup& group, const ObjectiveCallbacks& callbacks);

  int64_t num_rows() const override { return static_cast<int64_t>(data_.size()); }
  uint64_t line_of(uint32_t row) const override { return data_.line_of(row); }
  const std::vector<Parameter>& parameters() const override { return model_.parameters(); }
  int64_t num_weight_bytes() const override { return model_.num_weight_bytes(); }

  ObjectiveResult add_gradients(const std::vector<uint32_t>& rows, int64_t step) override;
  Json evaluate() override;
  void add_costs(int64_t num_rows, TrainingCost& cost,
                 std::optional<TrainingCost>& picture_cost) const override;

  void save(const std::filesystem::path& folder) const override { model_.save(folder); }
  void load(const std::filesystem::path& folder) override { model_.load(folder); }
  void write_result(const std::filesystem::path& folder) const override {
    model_.write_result(folder);
  }

 private:
  /// One rank's part of a step: micro-batches, and for each of their sequences, in order, what it
  /// is.
  struct StepBatch {
    std::vector<TrainingRows> micro_batches;
    at::Tensor kinds;  ///< [sequences, 2] int64: Kind, and the row's number in the whole batch

    int64_t num_tokens() const;
  };

  void check_batch_size() const;
  StepBatch make_batch(const TripletFile& file, const std::vector<uint32_t>& rows) const;

  ContrastiveTrainOptions options_;
  ProcessGroup& group_;
  TripletFile data_;
  std::optional<TripletFile> eval_data_;
  ItemPreparer preparer_;
  TrainingPrompt prompt_;
  TrainingModel model_;
};

}  // namespace e5v::detail
