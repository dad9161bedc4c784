#include "e5v/cli/program.h"
#include "e5v/export.h"

/// The program's work, for the launcher (cli/launcher.cpp) alone: not part of the API.
extern "C" E5V_API int e5v_run(int argc, char** argv) {
  return e5v::detail::run_program(argc, argv);
}
