#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "e5v/nn/linear.h"
#include "e5v/nn/parameter_visitor.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {

/// Several Linears that read the same input (q, k and v; gate and up). Each keeps its name and
/// weight in checkpoints, training and LoRA; packed for inference they are one product.
class FusedLinear {
 public:
  struct Part {
    std::string name;
    int64_t out_features;
  };

  FusedLinear() = default;
  FusedLinear(int64_t in_features, const std::vector<Part>& parts, bool has_bias);

  void visit_parameters(ParameterVisitor& visitor) { visitor.fused(*this); }

  size_t num_parts() const { return parts_.size(); }
  const std::string& name(size_t part) const { return names_[part]; }
  Linear& part(size_t part) { return parts_[part]; }
  const Linear& part(size_t part) const { return parts_[part]; }

  /// Replaces the parts' weights by one of that form. The parts must be loaded; afterwards they
  /// hold nothing.
  void pack(const WeightForm& form);
  /// Takes that one weight as it is, and the parts' biases.
  void set_packed(std::unique_ptr<LinearStorage> weight);
  bool is_packed() const { return packed_.is_loaded(); }

  /// x [T, in] -> [T, sum of out_features]: the parts' columns, in order.
  at::Tensor forward(const at::Tensor& x, at::ScalarType out_dtype = at::kFloat) const;

 private:
  std::vector<std::string> names_;
  std::vector<Linear> parts_;
  Linear packed_;
};

}  // namespace e5v::detail
