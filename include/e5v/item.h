#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "e5v/image.h"

namespace e5v {

/// A picture: a file, the bytes of one, or pixels.
using ImageSource = std::variant<std::filesystem::path, std::vector<std::byte>, Image>;

/// One thing to embed: a text, pictures, or pictures with a text that changes them.
struct Item {
  std::string id{};  ///< names the item in results and errors; may be empty
  std::optional<std::string> text{};
  std::vector<ImageSource> images{};
  std::string task{};    ///< a named prompt set; empty = that of the options
  std::string prompt{};  ///< a whole template with `<image>` and `<sent>`; empty = the task's
};

}  // namespace e5v
