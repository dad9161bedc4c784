#include "e5v/base/error.h"

#include <system_error>

#include "e5v/base/utf8.h"

namespace e5v {

FileError::FileError(std::string_view path, std::string_view action, std::string_view reason)
    : Error(fmt::format("{}: {}: {}", detail::printable(path, 4096), action, reason)) {}

FormatError::FormatError(std::string_view path, std::string_view problem)
    : Error(fmt::format("{}: {}", detail::printable(path, 4096), problem)) {}

namespace detail {

std::string system_reason(int error_number) {
  return std::generic_category().message(error_number);
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    if (shown.size() >= max_bytes) return shown + "…";
    const Utf8Char c = next_utf8(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (!c.valid || byte < 0x20 || byte == 0x7f) {
      shown += fmt::format("\\x{:02x}", byte);
      at += 1;
    } else {
      shown += text.substr(at, c.size);
      at += c.size;
    }
  }
  return shown;
}

void throw_broken_invariant(const char* condition, const char* file, int line) {
  throw std::logic_error(fmt::format("{}:{}: broken invariant: {}", file, line, condition));
}

}  // namespace detail
}  // namespace e5v
