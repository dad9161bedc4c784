#pragma once

#include <string>
#include <string_view>

namespace e5v::detail {

/// `text` as it can stand between tags and inside quoted attributes: `<`, `>`, `&` and both quotes
/// are references, control characters are spaces, and bytes that are not UTF-8 are U+FFFD.
std::string html_escape(std::string_view text);

}  // namespace e5v::detail
