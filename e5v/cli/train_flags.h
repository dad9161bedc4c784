#pragma once

#include <span>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/train/objective.h"

namespace CLI {
class App;
}

namespace e5v::detail {

/// The options of several objectives as flags of one command: each flag once, in the help under the
/// objectives that use it. Which objective is meant is known only when all flags are read, so what
/// is given is kept as a recipe.
class TrainFlags {
 public:
  /// Declares the flags; both must outlive the parse.
  TrainFlags(CLI::App& command, std::span<const ObjectiveType> types);
  TrainFlags(const TrainFlags&) = delete;

  /// What the command line says, for apply_recipe.
  const Json& given() const { return given_; }

 private:
  Json given_ = Json::object();
};

}  // namespace e5v::detail
