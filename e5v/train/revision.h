#pragma once

#include <string>

namespace e5v::detail {

/// The revision of the source that this program was built from, or "unknown".
std::string program_revision();

}  // namespace e5v::detail
