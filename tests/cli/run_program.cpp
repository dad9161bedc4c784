#include "tests/cli/run_program.h"

#include <sys/wait.h>

#include <cstdlib>

#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {

ProgramResult run_e5v(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string script = "e5v() { '" E5V_PROGRAM "' \"$@\"; }\ne5v " + arguments + "\n";
  write_file(folder / "script", script);
  const int status =
      std::system(("bash -o pipefail '" + (folder / "script").native() + "' >'" +
                   (folder / "out").native() + "' 2>'" + (folder / "err").native() + "' </dev/null")
                      .c_str());
  ProgramResult result;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(folder / "out");
  result.err = read_file(folder / "err");
  return result;
}

}  // namespace e5v::detail
