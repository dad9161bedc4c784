#pragma once

#include <string>
#include <string_view>

namespace e5v::detail {

/// `text` percent-encoded (RFC 3986), but for letters, digits, "-._~" and the characters of `keep`.
std::string url_encode(std::string_view text, std::string_view keep = "");

}  // namespace e5v::detail
