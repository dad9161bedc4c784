#include "e5v/base/json.h"

#include "e5v/base/file.h"

namespace e5v {
namespace {

constexpr int kMaxDepth = 200;

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

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  // The depth is bounded because nlohmann's destructor and dump() recurse.
  const auto callback = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      throw FormatError(source, fmt::format("JSON nested deeper than {} levels", kMaxDepth));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), callback);
  } catch (const Json::parse_error& error) {
    const Position position = position_of(text, error.byte == 0 ? 0 : error.byte - 1);
    throw FormatError(source, fmt::format("not valid JSON at line {}, column {}", position.line,
                                          position.column));
  } catch (const Json::exception& error) {  // e.g. a number out of range
    throw FormatError(source, fmt::format("not valid JSON: {}", printable(error.what(), 160)));
  }
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.native());
}

}  // namespace e5v
