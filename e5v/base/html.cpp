#include "e5v/base/html.h"

#include "e5v/base/utf8.h"

namespace e5v::detail {

std::string html_escape(std::string_view text) {
  std::string escaped;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_utf8(text, at);
    switch (c.code_point) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        append_utf8(escaped, c.code_point < 0x20 ? U' ' : c.code_point);
    }
    at += c.size;
  }
  return escaped;
}

}  // namespace e5v::detail
