#include "e5v/embed/default_model.h"

#include <dlfcn.h>
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

/// The file that this code lies in: libe5v.so, or a program that has it inside.
fs::path own_file() {
  Dl_info info;
  std::error_code unknown;
  if (::dladdr(reinterpret_cast<const void*>(&find_default_model), &info) != 0) {
    const fs::path file = fs::canonical(info.dli_fname, unknown);
    if (!unknown) return file;
  }
  return fs::read_symlink("/proc/self/exe", unknown);
}

}  // namespace

fs::path find_default_model(const fs::path& binary, const std::string& environment) {
  if (!environment.empty()) {
    if (is_model(environment)) return environment;
    throw ConfigError(fmt::format(
        "E5V_MODEL is '{}', where there is no config.json; expected a model folder", environment));
  }
  // build/PRESET/libe5v.so, PREFIX/bin/e5v or PREFIX/lib/libe5v.so, PREFIX/lib/ARCH/libe5v.so
  std::vector<fs::path> places;
  fs::path folder = binary.parent_path();
  for (int above = 0; above < 3; ++above, folder = folder.parent_path()) {
    places.push_back(folder / "share/e5v" / kMiniature);
  }
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
  return find_default_model(own_file(), environment == nullptr ? "" : environment);
}

}  // namespace e5v::detail
