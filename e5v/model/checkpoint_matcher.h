#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/weight_names.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/precision.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {

/// Compares a model's parameters (by their canonical names) with what a checkpoint of any key
/// layout holds. `model` needs no memory; anything that has `visit_parameters`. `stored` is the
/// precision of a quantised checkpoint, whose weights consist of several tensors each.
template <class Model>
CheckpointReport compare_with_checkpoint(Model& model, const Checkpoint& checkpoint,
                                         const WeightNames& names,
                                         std::optional<Precision> stored = std::nullopt);

/// The visitor behind compare_with_checkpoint.
class CheckpointMatcher final : public ParameterVisitor {
 public:
  /// `checkpoint` and `names` must outlive it.
  explicit CheckpointMatcher(const Checkpoint& checkpoint, const WeightNames& names,
                             std::optional<Precision> stored = std::nullopt);
  void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef shape) override;
  void linear(const std::string& name, Linear& linear) override;
  void unused(const std::string& name) override;
  CheckpointReport report();

 private:
  void expect(const std::string& name, at::IntArrayRef shape);

  const Checkpoint& checkpoint_;
  const WeightNames& names_;
  std::optional<Precision> stored_;
  std::map<std::string, std::string> unclaimed_;  // canonical -> stored name
  std::vector<std::string> unused_;
  CheckpointReport report_;
};

template <class Model>
CheckpointReport compare_with_checkpoint(Model& model, const Checkpoint& checkpoint,
                                         const WeightNames& names,
                                         std::optional<Precision> stored) {
  CheckpointMatcher matcher(checkpoint, names, stored);
  model.visit_parameters(matcher);
  return matcher.report();
}

}  // namespace e5v::detail
