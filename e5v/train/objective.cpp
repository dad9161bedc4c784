#include "e5v/train/objective.h"

#include <algorithm>

namespace e5v::detail {

const ObjectiveType* find_objective_type(std::string_view name) {
  const std::span<const ObjectiveType> types = objective_types();
  const auto found = std::find_if(types.begin(), types.end(),
                                  [&](const ObjectiveType& type) { return type.name == name; });
  return found == types.end() ? nullptr : &*found;
}

}  // namespace e5v::detail
