#include "e5v/cli/default_model.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <system_error>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMiniature = "models/shapes-mini";

bool is_model(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "config.json", ignored);
}

}  // namespace

fs::path find_default_model(const fs::path& program, const std::string& environment) {
  if (!environment.empty()) {
    if (is_model(environment)) return environment;
    throw ConfigError(fmt::format(
        "E5V_MODEL is '{}', where there is no config.json; expected a model folder", environment));
  }
  const fs::path folder = program.parent_path();
  // The program of a build tree is at build/PRESET/e5v.
  const std::vector<fs::path> places = {folder.parent_path() / "share/e5v" / kMiniature,
                                        folder.parent_path().parent_path() / kMiniature};
  std::vector<std::string> looked_in;
  for (const fs::path& place : places) {
    if (is_model(place)) return place;
    looked_in.push_back(place.native());
  }
  throw ConfigError(
      fmt::format("no --model is given, and the built-in one is not in {}; `git checkout {}` or "
                  "scripts/train-miniature.sh restores it, E5V_MODEL names another",
                  fmt::join(looked_in, " or "), kMiniature));
}

fs::path default_model() {
  const char* environment = std::getenv("E5V_MODEL");
  std::error_code ignored;
  return find_default_model(fs::read_symlink("/proc/self/exe", ignored),
                            environment == nullptr ? "" : environment);
}

}  // namespace e5v::detail
