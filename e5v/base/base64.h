#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// Standard alphabet with padding, RFC 4648.
std::string encode_base64(std::span<const std::byte> bytes);
/// nullopt unless `text` is valid: of whole groups, padding optional, line breaks allowed; the
/// URL-safe alphabet is taken as well.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace e5v::detail
