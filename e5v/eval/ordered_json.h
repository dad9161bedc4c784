// Included by sources of eval/ only.
#pragma once

#include <filesystem>

#include "e5v/base/file.h"
#include "e5v/base/json.h"

namespace e5v::detail {

/// A JSON file whose objects keep the order of their keys, where that is the data set's own order.
/// Throws as read_json.
inline nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path) {
  const std::string text = read_file(path, UINT64_C(1) << 28);
  parse_json(text, path.native());  // for its errors, and its limit on nesting
  return nlohmann::ordered_json::parse(text);
}

}  // namespace e5v::detail
