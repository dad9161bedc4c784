#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/base/progress.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/train_options.h"
#include "e5v/train/training_cost.h"

namespace e5v::detail {

/// What one step's rows gave.
struct ObjectiveResult {
  double loss = 0;                 ///< over all ranks
  int64_t num_tokens = 0;          ///< that this rank computed
  std::vector<uint32_t> bad_rows;  ///< those whose results are not finite
};

/// What opening an objective tells meanwhile; each may be empty.
struct ObjectiveCallbacks {
  std::function<void(const std::string&)> on_warning;
  /// Of what is computed of the data before the first step, where that takes long.
  ProgressCallback on_progress;
};

/// What a model is trained for: the data, the loss, and the tensors that move. The Trainer knows
/// nothing else of either; it has the order of rows, the optimizer, the folder of the run.
class Objective {
 public:
  virtual ~Objective() = default;

  virtual int64_t num_rows() const = 0;
  /// Line in the data file, from 1, at which a row begins.
  virtual uint64_t line_of(uint32_t row) const = 0;

  /// The tensors that the optimizer moves.
  virtual const std::vector<Parameter>& parameters() const = 0;
  /// Bytes of all weights that are held.
  virtual int64_t num_weight_bytes() const = 0;

  /// Adds the gradient of the loss of `rows`, the whole batch's, to every parameter's `.grad`; over
  /// several ranks this rank's share of it, to be added up. A loss that is not finite is returned
  /// as it is.
  virtual ObjectiveResult add_gradients(const std::vector<uint32_t>& rows, int64_t step) = 0;

  /// Figures about the held-out data, under names that begin with `eval_`; none without such data.
  virtual Json evaluate() = 0;

  /// The FLOPs of `cost`, whose tokens are known, and what the same number of rows would have cost
  /// with pictures, where that can be told.
  virtual void add_costs(int64_t num_rows, TrainingCost& cost,
                         std::optional<TrainingCost>& picture_cost) const = 0;

  /// What a run is continued from, exactly.
  virtual void save(const std::filesystem::path& folder) const = 0;
  virtual void load(const std::filesystem::path& folder) = 0;
  /// The result of the run.
  virtual void write_result(const std::filesystem::path& folder) const = 0;
};

/// An objective by name. Each is a file of objectives/ that defines `NAME_objective()`, its name
/// stands in the list of CMakeLists.txt; the choices, options, help and refusals of `e5v train`
/// derive from these records.
struct ObjectiveType {
  /// On the command line and in recipes: "contrastive".
  std::string_view name;
  /// One line of the help: what is learned.
  std::string_view summary;
  /// One line of the help: what --data holds.
  std::string_view data;
  std::unique_ptr<TrainOptions> (*make_options)() = nullptr;
};

/// All of them, in the order of the help; the first is the default.
std::span<const ObjectiveType> objective_types();

/// The objective of that name, or nullptr.
const ObjectiveType* find_objective_type(std::string_view name);

}  // namespace e5v::detail
