#pragma once

#include <string>

namespace e5v::detail {

struct ProgramResult {
  int status = 0;  ///< exit status, or 128 + the signal
  std::string out;
  std::string err;
};

/// Runs `e5v <arguments>` through the shell, so that `arguments` may redirect and pipe; "e5v" in
/// them is this build's program.
ProgramResult run_e5v(const std::string& arguments);

}  // namespace e5v::detail
