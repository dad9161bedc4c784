#include "e5v/base/json.h"

#include "e5v/base/file.h"

namespace e5v::detail {
namespace {

constexpr int kMaxDepth = 200;
// Far above any tokenizer.json (35 MB); a parsed value takes about ten times its text.
constexpr uint64_t kMaxFileBytes = UINT64_C(256) << 20;

struct Position {
  size_t line = 1;
  size_t column = 1;
};

Position position_of(std::string_view text, size_t at) {
  Position position;
  for (size_t i = 0; i < std::min(at, text.size()); ++i) {
    if (text[i] == '\n') {
      ++position.line;
      position.column = 1;
    } else {
      ++position.column;
    }
  }
  return position;
}

/// nlohmann's destructor and dump() recurse, so the depth is bounded. Looked at beforehand, because
/// the parser with a callback takes half as long again.
void refuse_deep_nesting(std::string_view text, std::string_view source) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) {
        throw FormatError(source, fmt::format("JSON nested deeper than {} levels", kMaxDepth));
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

/// The library's message without its code and place, which the caller states in its own way.
std::string reason_of(const Json::exception& error) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
  constexpr size_t kLongestPreamble = 60;
  std::string_view message = error.what();
  for (const std::string_view before : {"] ", "parse error", ": ", "syntax error while "}) {
    const size_t at = message.find(before);
    if (at != std::string_view::npos && at < kLongestPreamble) {
      message.remove_prefix(at + before.size());
    }
  }
  return printable(message, 160);
}

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  refuse_deep_nesting(text, source);
  // The library takes a zero byte for the end of the text, and what precedes it for all of it.
  const size_t zero = text.find('\0');
  if (zero != std::string_view::npos) {
    throw FormatError(source, fmt::format("not valid JSON: a zero byte at offset {}", zero));
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    const Position position = position_of(text, error.byte == 0 ? 0 : error.byte - 1);
    throw FormatError(source, fmt::format("not valid JSON at line {}, column {}: {}", position.line,
                                          position.column, reason_of(error)));
  } catch (const Json::exception& error) {  // e.g. a number out of range
    throw FormatError(source, fmt::format("not valid JSON: {}", reason_of(error)));
  }
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path, kMaxFileBytes), path.native());
}

std::string json_excerpt(const Json& value) {
  // Only a scalar's text is short for sure; dumping a whole tokenizer for a message is not.
  if (value.is_structured()) {
    return fmt::format("an {} of {}", value.type_name(), value.size());
  }
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace e5v::detail
