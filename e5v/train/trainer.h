#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "e5v/base/progress.h"
#include "e5v/train/process_group.h"
#include "e5v/train/run_folder.h"
#include "e5v/train/train_files.h"
#include "e5v/train/train_options.h"
#include "e5v/train/training_cost.h"

namespace e5v::detail {

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
  /// Of what is computed of the data before the first step, where that takes long.
  ProgressCallback on_data_progress;
};

struct TrainSummary {
  int64_t num_steps = 0;
  int64_t first_step = 1;  ///< later than 1 where a run was resumed
  double last_loss = 0;    ///< of the last step, also where that was done before
  int64_t num_pairs = 0;   ///< rows trained on in this call, over all ranks
  TrainingCost text_cost;  ///< of these rows, over all ranks
  /// The same number of rows with a picture as anchor, estimated; unknown where the model takes
  /// none or the rows had pictures already.
  std::optional<TrainingCost> picture_cost;

  /// True if a resumed run was at its end already.
  bool was_finished() const { return first_step > num_steps; }
};

/// Trains a model for the objective whose options these are (objective.h).
///
/// A run is a function of the model, the data, the options and the number of steps only: not of the
/// micro-batches, the number of ranks (but for rounding), or of how often it was killed and resumed
/// (to the bit, with one rank).
class Trainer {
 public:
  /// Opens everything; the model is loaded. Throws FileError, FormatError; ConfigError, e.g. where
  /// the output folder holds another run, a resumed run has another recipe (naming the field), or
  /// the batch is larger than the data. `options` and `group` must outlive this.
  Trainer(TrainFiles files, const TrainOptions& options, ProcessGroup& group,
          TrainCallbacks callbacks = {});
  ~Trainer();

  /// Trains to the end and writes the result; of a run that was finished only what is not there
  /// yet. Throws
  /// Error naming step and rows if the loss or its gradient is not finite: nothing of that step is
  /// applied, checkpoints stay.
  TrainSummary run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v::detail
