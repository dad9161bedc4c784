#pragma once

#include <string>
#include <vector>

#include "e5v/checkpoint/weight_names.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/model.h"
#include "e5v/model/precision.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {

/// Weights that are rounded together: a Linear's, or those of one FusedLinear.
struct WeightGroup {
  struct Part {
    std::string stored_name;  ///< of the weight, in the checkpoint
    Linear* linear;           ///< of the model that was visited
  };
  const RoundedForm* form;
  std::vector<Part> parts;
  bool is_in_language_model;

  int64_t in_features() const { return parts.at(0).linear->in_features(); }
};

/// Those of the model's weights that have a rounded form in `precision`, in the order of the model.
/// `report` is of a checkpoint that has them all.
std::vector<WeightGroup> list_weight_groups(Model& model, const WeightNames& names,
                                            const CheckpointReport& report, Precision precision);

}  // namespace e5v::detail
