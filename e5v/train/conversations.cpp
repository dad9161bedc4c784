#include "e5v/train/conversations.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kImage = "<image>";

std::string stripped(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin));
}

/// The texts of turn `i`, which must be from `speaker`: one, or a list of them.
std::vector<std::string> values_of(const Json& turns, size_t i, std::string_view speaker) {
  const std::string key = fmt::format("conversations[{}]", i);
  if (i >= turns.size()) throw ConfigError(fmt::format("'{}' is missing: expected an answer", key));
  const auto from = require_field<std::string>(turns[i], "from");
  if (from != speaker) {
    throw ConfigError(
        fmt::format("'{}' is from '{}', expected '{}'", key, printable(from, 20), speaker));
  }
  std::vector<std::string> values;
  if (turns[i].contains("value") && turns[i]["value"].is_array()) {
    values = require_field<std::vector<std::string>>(turns[i], "value");
  } else {
    values = {require_field<std::string>(turns[i], "value")};
  }
  const auto is_empty = [](const std::string& value) { return stripped(value).empty(); };
  if (values.empty() || std::any_of(values.begin(), values.end(), is_empty)) {
    throw ConfigError(fmt::format("'{}' has an empty value", key));
  }
  return values;
}

std::string prompt_of(const Json& turns, size_t i) {
  std::vector<std::string> values = values_of(turns, i, "human");
  if (values.size() == 1) return std::move(values[0]);
  throw ConfigError(
      fmt::format("'conversations[{}]' is a list, expected one text from 'human'", i));
}

std::vector<std::string> answers_of(const Json& turns, size_t i) {
  std::vector<std::string> values = values_of(turns, i, "gpt");
  if (values.size() == 1 || i + 1 == turns.size()) return values;
  throw ConfigError(
      fmt::format("'conversations[{}]' is a list, which only the last answer can be", i));
}

/// Throws Error without naming the file.
Conversation parse_row(std::string_view line, const std::filesystem::path& folder) {
  const Json row = parse_json(line, "row");
  Conversation conversation;
  if (const auto image = find_field<std::string>(row, "image"))
    conversation.image = folder / *image;
  const Json turns = require_field<Json>(row, "conversations");
  if (!turns.is_array() || turns.empty()) {
    throw ConfigError("'conversations' is not a list of turns");
  }
  for (size_t i = 0; i < turns.size(); i += 2) {
    std::string prompt = prompt_of(turns, i);
    if (i == 0) {
      const size_t place = prompt.find(kImage);
      if (place != prompt.npos) prompt.erase(place, kImage.size());
      if ((place != prompt.npos) != !conversation.image.empty()) {
        throw ConfigError(conversation.image.empty()
                              ? "'<image>' stands in a row without 'image'"
                              : "'image' is given, but no turn has '<image>'");
      }
      prompt = stripped(prompt);
      if (prompt.empty()) throw ConfigError("the first turn says nothing beside '<image>'");
    }
    conversation.turns.push_back({std::move(prompt), answers_of(turns, i + 1)});
  }
  return conversation;
}

}  // namespace

ConversationFile::ConversationFile(const std::filesystem::path& path, OnBadRow on_bad_row,
                                   const OnSkip& on_skip)
    : file_(path) {
  const auto bytes = file_.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  uint64_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const Row row{at, end - at, ++line};
    at = end + 1;
    if (stripped(text.substr(row.offset, row.size)).empty()) continue;
    try {
      const Conversation parsed = parse_row(text.substr(row.offset, row.size), path.parent_path());
      has_images_ = has_images_ || !parsed.image.empty();
      rows_.push_back(row);
    } catch (const Error& error) {
      const std::string problem = fmt::format("line {}: {}", row.line, error.what());
      if (on_bad_row == OnBadRow::kStop) throw FormatError(path.native(), problem);
      if (on_skip) on_skip(fmt::format("{}: {}; left out", path.native(), problem));
    }
  }
  if (rows_.empty()) throw FormatError(path.native(), "holds no conversation");
}

Conversation ConversationFile::row(uint64_t index) const {
  const Row& row = rows_[index];
  const auto* text = reinterpret_cast<const char*>(file_.bytes().data());
  return parse_row({text + row.offset, row.size}, path().parent_path());
}

}  // namespace e5v::detail
