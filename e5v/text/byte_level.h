#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace e5v::detail {

// Byte-level vocabularies write each of the 256 bytes as a printable character: itself where it is
// printable Latin-1, otherwise one from U+0100 on (`Ġ` is the space).

/// `bytes` in those characters, as UTF-8.
std::string to_byte_level(std::string_view bytes);

/// The bytes that `text` (UTF-8) stands for, or nullopt if a character of it stands for none.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace e5v::detail
