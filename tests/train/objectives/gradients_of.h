#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "e5v/train/objective.h"

namespace e5v::detail {

/// The gradients of a step's rows, by parameter.
inline std::map<std::string, at::Tensor> gradients_of(Objective& objective,
                                                      const std::vector<uint32_t>& rows,
                                                      int64_t step) {
  objective.add_gradients(rows, step);
  std::map<std::string, at::Tensor> gradients;
  for (const Parameter& parameter : objective.parameters()) {
    gradients[parameter.name] = parameter.value.grad().clone();
  }
  return gradients;
}

}  // namespace e5v::detail
