#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/base/options.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/process_group.h"
#include "e5v/train/train_files.h"

namespace e5v::detail {

class Objective;
struct ObjectiveCallbacks;

/// Everything that a training run depends on besides the files it reads: what a recipe holds. The
/// fields are those that every objective has; each objective derives a struct with its own, and
/// with defaults that differ (objectives/).
struct TrainOptions {
  virtual ~TrainOptions() = default;

  /// Rows of one step, over all processes.
  int64_t batch_size = 768;
  /// Rows that are in memory at once, in each process.
  int64_t micro_batch_size = 24;
  int64_t epochs = 2;
  /// Ends earlier than the epochs; 0 = not.
  int64_t max_steps = 0;
  int64_t seed = 42;
  bool shuffle = true;
  /// Steps between checkpoints; 0 = none but the end.
  int64_t save_every = 50;
  /// Checkpoints that stay; older ones are removed.
  int64_t keep_checkpoints = 2;
  /// Steps between evaluations of the held-out file.
  int64_t eval_every = 50;
  /// Rows of the held-out file that each of them looks at, from its begin; 0 = all.
  int64_t eval_rows = 2048;
  OptimizerOptions optimizer;

  /// Name of the objective: "contrastive".
  virtual std::string_view objective() const = 0;
  /// Declares all options that the objective uses, and none that it does not.
  virtual void register_options(OptionRegistry& registry);
  /// Throws ConfigError naming the field.
  virtual void validate() const;
  /// The objective with its data and model. Throws what opening them throws: FileError,
  /// FormatError, ConfigError, InputError.
  virtual std::unique_ptr<Objective> open(const TrainFiles& files, ProcessGroup& group,
                                          const ObjectiveCallbacks& callbacks) const = 0;
  /// FLOPs of a token's way forward through the model in `model_dir`; by them a program chooses how
  /// many threads are worth their meetings. Throws as reading config.json.
  virtual double flops_per_token(const std::filesystem::path& model_dir) const = 0;

 protected:
  TrainOptions() = default;
  TrainOptions(const TrainOptions&) = default;
  TrainOptions& operator=(const TrainOptions&) = default;
};

/// The name that recipes give to the flag of that long name: "learning_rate".
std::string recipe_key(std::string_view flag);

/// The objective and all its options under their recipe names.
Json to_json(const TrainOptions& options);

/// Sets the options that `recipe` names, leaves the others. `source` names it in errors. The keys
/// "description" and "objective" are not looked at. Throws ConfigError for a key that is no option
/// of the objective (naming those whose it is), or a value of another type.
void apply_recipe(const Json& recipe, std::string_view source, TrainOptions& options);

/// The options, with their defaults, of the objective that `recipe` names; of contrastive if it
/// names none. Throws ConfigError for an unknown one.
std::unique_ptr<TrainOptions> make_options_for(const Json& recipe, std::string_view source);

/// The recipe that `file_or_name` says: a file, or the name of one that comes with the program
/// (recipes/NAME.json). Throws ConfigError listing the names, FileError or FormatError.
Json find_recipe(const std::string& file_or_name);
std::vector<std::string> recipe_names();

}  // namespace e5v::detail
