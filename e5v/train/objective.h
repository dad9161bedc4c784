#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/process_group.h"
#include "e5v/train/train_files.h"
#include "e5v/train/train_options.h"
#include "e5v/train/training_cost.h"

namespace e5v {

/// What one step's rows gave.
struct ObjectiveResult {
  double loss = 0;                 ///< over all ranks
  int64_t num_tokens = 0;          ///< that this rank computed
  std::vector<uint32_t> bad_rows;  ///< those whose results are not finite
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
  /// What the result depends on besides TrainOptions, by names of recipes: recorded with them, and
  /// a resumed run must have the same.
  virtual Json own_options() const { return Json::object(); }

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

/// Opens an objective; the Trainer calls it once.
using ObjectiveFactory = std::function<std::unique_ptr<Objective>(
    ProcessGroup& group, const std::function<void(const std::string&)>& on_warning)>;

/// The objective that `options` name, with its model and data. Throws what opening them throws.
std::unique_ptr<Objective> make_objective(
    const TrainFiles& files, const TrainOptions& options, ProcessGroup& group,
    const std::function<void(const std::string&)>& on_warning);

}  // namespace e5v
