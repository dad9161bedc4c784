#include "e5v/base/text_file.h"

#include <algorithm>
#include <string>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

bool is_utf16(std::string_view bytes) {
  return bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff");
}

size_t utf8_mark_bytes(std::string_view bytes) { return bytes.starts_with("\xef\xbb\xbf") ? 3 : 0; }

uint64_t line_at(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  return 1 + static_cast<uint64_t>(std::count(before.begin(), before.end(), '\n'));
}

/// UTF-16 without its byte order mark as UTF-8.
std::string from_utf16(std::string_view bytes, bool is_big_endian, std::string_view source) {
  const auto unit = [&](size_t at) {
    const auto first = static_cast<unsigned char>(bytes[at]);
    const auto second = static_cast<unsigned char>(bytes[at + 1]);
    return static_cast<char32_t>(is_big_endian ? first << 8 | second : second << 8 | first);
  };
  const auto is_low = [&](size_t at) { return at + 2 <= bytes.size() && unit(at) >> 10 == 0x37; };
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 2) {
    const bool is_whole = at + 2 <= bytes.size();
    char32_t c = is_whole ? unit(at) : 0;
    if (is_whole && c >> 10 == 0x36 && is_low(at + 2)) {
      c = 0x10000 + ((c & 0x3ff) << 10) + (unit(at + 2) & 0x3ff);
      at += 2;
    } else if (!is_whole || c >> 11 == 0x1b) {
      throw FormatError(std::string(source),
                        fmt::format("line {}: invalid UTF-16{}", line_at(text, text.size()),
                                    is_whole ? "" : "; is the file cut off?"));
    }
    append_utf8(text, c);
  }
  return text;
}

std::string with_line_feeds(std::string text) {
  if (std::find(text.begin(), text.end(), '\r') == text.end()) return text;
  size_t end = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool is_crlf = text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n';
    if (is_crlf) continue;
    text[end++] = text[at] == '\r' ? '\n' : text[at];
  }
  text.resize(end);
  return text;
}

}  // namespace

std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes) {
  return decode_text(read_file(path, max_bytes), path.native());
}

std::string decode_text(std::string_view bytes, std::string_view source) {
  std::string text;
  if (is_utf16(bytes)) {
    text = from_utf16(bytes.substr(2), bytes[0] == '\xfe', source);
  } else {
    text = bytes.substr(utf8_mark_bytes(bytes));
  }
  text = with_line_feeds(std::move(text));
  if (const size_t at = text.find('\0'); at != std::string::npos) {
    throw FormatError(std::string(source),
                      fmt::format("line {} has a NUL byte, expected text; is it UTF-16 without a "
                                  "byte order mark?",
                                  line_at(text, at)));
  }
  if (const size_t at = find_invalid_utf8(text); at != std::string_view::npos) {
    throw FormatError(
        std::string(source),
        fmt::format("line {} is not UTF-8; save the file as UTF-8", line_at(text, at)));
  }
  return text;
}

MappedText::MappedText(const std::filesystem::path& path) : file_(path) {
  const std::string_view bytes = text();
  // Mostly an LF stands near the begin, so that this reads little.
  const bool has_only_cr =
      bytes.find('\n') == std::string_view::npos && bytes.find('\r') != std::string_view::npos;
  if (is_utf16(bytes)) {
    converted_ = decode_text(bytes, path.native());
    return;
  }
  mark_bytes_ = utf8_mark_bytes(bytes);
  if (has_only_cr) {
    std::string lines(text());
    std::replace(lines.begin(), lines.end(), '\r', '\n');
    converted_ = std::move(lines);
  }
}

std::string_view MappedText::text() const {
  if (converted_) return *converted_;
  const auto bytes = file_.bytes().subspan(mark_bytes_);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace e5v::detail
