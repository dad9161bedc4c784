#include "e5v/text/byte_level.h"

#include <array>
#include <cstdint>

#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

constexpr char32_t kEnd = 0x144;  // U+0100 + the 68 bytes that are not printable

struct Tables {
  std::array<char32_t, 256> character{};
  std::array<int16_t, kEnd> byte{};

  constexpr Tables() {
    for (auto& entry : byte) entry = -1;
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
      character[b] = printable ? b : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};

constexpr Tables kTables;

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, kTables.character[static_cast<uint8_t>(byte)]);
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_utf8(text, at);
    if (!c.valid || c.code_point >= kEnd || kTables.byte[c.code_point] < 0) return std::nullopt;
    bytes += static_cast<char>(kTables.byte[c.code_point]);
    at += c.size;
  }
  return bytes;
}

}  // namespace e5v::detail
