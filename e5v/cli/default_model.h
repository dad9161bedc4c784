#pragma once

#include <filesystem>
#include <string>

namespace e5v::detail {

/// The model folder of a command that is given none: what the environment variable E5V_MODEL names,
/// else the miniature that comes with the program.
/// Throws ConfigError saying where it was looked for and how to restore it.
std::filesystem::path default_model();

/// The same for a program file and a value of the variable (empty: not set). The miniature lies at
/// ../share/e5v/models/shapes-mini of an installed program's folder, or at models/shapes-mini of
/// the source tree that the program was built in.
std::filesystem::path find_default_model(const std::filesystem::path& program,
                                         const std::string& environment);

}  // namespace e5v::detail
