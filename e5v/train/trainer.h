#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "e5v/train/objective.h"
#include "e5v/train/process_group.h"
#include "e5v/train/run_folder.h"
#include "e5v/train/train_files.h"
#include "e5v/train/train_options.h"
#include "e5v/train/training_cost.h"

namespace e5v {

/// One optimizer step.
struct StepMetrics {
  int64_t step = 0;  ///< from 1
  int64_t num_steps = 0;
  double loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;  ///< before clipping
  double tokens_per_second = 0;
};

/// What a run says while it works; each may be empty. Only the first rank calls them.
struct TrainCallbacks {
  std::function<void(const StepMetrics&)> on_step;
  std::function<void(const std::string&)> on_message;
  std::function<void(const std::string&)> on_warning;
};

struct TrainSummary {
  int64_t num_steps = 0;
  int64_t first_step = 1;  ///< later than 1 where a run was resumed
  double last_loss = 0;
  int64_t num_pairs = 0;   ///< rows trained on in this call, over all ranks
  TrainingCost text_cost;  ///< of these rows, over all ranks
  /// The same number of rows with a picture as anchor, estimated; unknown where the model takes
  /// none or the rows had pictures already.
  std::optional<TrainingCost> picture_cost;
};

/// Trains a model for an objective (objective.h), contrastive on triplets unless the options say
/// otherwise.
///
/// A run is a function of the model, the data, the options and the number of steps only: not of the
/// micro-batches, the number of ranks (but for rounding), or of how often it was killed and resumed
/// (to the bit, with one rank).
class Trainer {
 public:
  /// Opens everything; the model is loaded. Throws FileError, FormatError; ConfigError, e.g. where
  /// the output folder holds another run, a resumed run has another recipe (naming the field), or
  /// the batch is larger than the data.
  /// `make` opens the objective; by default make_objective.
  Trainer(TrainFiles files, TrainOptions options, ProcessGroup& group,
          TrainCallbacks callbacks = {}, const ObjectiveFactory& make = nullptr);
  ~Trainer();

  /// Trains to the end and writes the result. Throws Error naming step and rows if the loss or its
  /// gradient is not finite: nothing of that step is applied, checkpoints stay.
  TrainSummary run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v
