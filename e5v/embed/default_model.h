#pragma once

#include <filesystem>
#include <string>

namespace e5v::detail {

/// The model folder of a command that is given none: what the environment variable E5V_MODEL names,
/// else the miniature that comes with the program.
/// Throws ConfigError saying where it was looked for and how to restore it.
std::filesystem::path default_model();

/// The same for the file that the library lies in and a value of the variable (empty: not set). The
/// miniature lies at share/e5v/models/shapes-mini of that file's folder (in a build tree, a link),
/// or of one of the two above it (where it is installed).
std::filesystem::path find_default_model(const std::filesystem::path& binary,
                                         const std::string& environment);

}  // namespace e5v::detail
