#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace e5v::detail {

/// One decoded step through a byte string.
struct Utf8Char {
  char32_t code_point;  ///< U+FFFD where the bytes are not valid UTF-8
  size_t size;          ///< bytes consumed, >= 1 (1 where invalid)
  bool valid;
};

/// Decodes the code point at `text[at]`, `at < text.size()`. Overlong forms, surrogates and values
/// above U+10FFFF are invalid, as RFC 3629 has it.
inline Utf8Char next_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1, true};
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + size > text.size()) return {0xfffd, 1, false};
  char32_t value = lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {0xfffd, 1, false};
    value = (value << 6) | (byte(at + i) & 0x3f);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
    return {0xfffd, 1, false};
  return {value, size, true};
}

/// Position of the first byte that is not part of valid UTF-8, or npos.
inline size_t find_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_utf8(text, at);
    if (!c.valid) return at;
    at += c.size;
  }
  return std::string_view::npos;
}

/// Appends `code_point` (a valid scalar value) to `out`.
inline void append_utf8(std::string& out, char32_t code_point) {
  const auto push = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xc0 | (code_point >> 6));
    push(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    push(0xe0 | (code_point >> 12));
    push(0x80 | ((code_point >> 6) & 0x3f));
    push(0x80 | (code_point & 0x3f));
  } else {
    push(0xf0 | (code_point >> 18));
    push(0x80 | ((code_point >> 12) & 0x3f));
    push(0x80 | ((code_point >> 6) & 0x3f));
    push(0x80 | (code_point & 0x3f));
  }
}

}  // namespace e5v::detail
