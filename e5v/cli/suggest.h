#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// Edits (insert, delete, replace, swap of neighbours; of bytes) that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

/// The one of `known` that `given` was probably meant to be: at most two edits away and fewer
/// than half its length, else the first that begins with `given` (of three bytes or more), or
/// nullopt.
std::optional<std::string> nearest(std::string_view given, const std::vector<std::string>& known);

}  // namespace e5v::detail
