#include "e5v/eval/caption_table.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/text_file.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

/// Where a table has what.
struct Layout {
  char delimiter = '\t';
  bool has_header = false;
  size_t image = 0, caption = 1;
  /// Fields of a row; 0 = a picture's name, and everything behind the first delimiter is the
  /// caption.
  size_t num_fields = 0;
};

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") + 1 - begin));
}

/// Quotes have a meaning in CSV, not in the usual TSV.
bool has_quotes(char delimiter) { return delimiter == ',' || delimiter == ';'; }

/// The quoted field at the beginning of `text`, which is left behind it; nullopt where the quote
/// does not end before a delimiter or the line's end.
std::optional<std::string> take_quoted(std::string_view& text, char delimiter) {
  std::string field;
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] != '"') {
      field += text[at];
    } else if (at + 1 < text.size() && text[at + 1] == '"') {
      field += text[at++];
    } else if (at + 1 == text.size() || text[at + 1] == delimiter) {
      text.remove_prefix(at + 1);
      return field;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

/// The fields of a line; nullopt for broken quoting.
std::optional<std::vector<std::string>> split_line(std::string_view line, char delimiter) {
  std::vector<std::string> fields;
  for (;;) {
    if (has_quotes(delimiter) && line.starts_with('"')) {
      auto field = take_quoted(line, delimiter);
      if (!field) return std::nullopt;
      fields.push_back(*std::move(field));
    } else {
      const size_t end = std::min(line.find(delimiter), line.size());
      fields.emplace_back(line.substr(0, end));
      line.remove_prefix(end);
    }
    if (line.empty()) return fields;
    line.remove_prefix(1);
  }
}

std::string_view line_at(std::string_view text, size_t begin) {
  return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
}

/// The first line's fields in lower case, trimmed.
std::vector<std::string> column_names(const std::string& text, char delimiter) {
  std::vector<std::string> names;
  for (const std::string& field :
       split_line(line_at(text, 0), delimiter).value_or(std::vector<std::string>())) {
    std::string& name = names.emplace_back(trimmed(field));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return names;
}

/// The layout of a table that begins with names of columns.
std::optional<Layout> read_header(const std::string& text, char delimiter) {
  constexpr std::array<std::string_view, 8> kImageNames = {
      "image", "image_name", "image_path", "filename", "file_name", "file", "path", "img"};
  constexpr std::array<std::string_view, 6> kCaptionNames = {"caption",  "captions",    "text",
                                                             "sentence", "description", "comment"};
  const std::vector<std::string> names = column_names(text, delimiter);
  const auto find = [&](std::span<const std::string_view> known) {
    const auto found = std::find_first_of(names.begin(), names.end(), known.begin(), known.end());
    return static_cast<size_t>(found - names.begin());
  };
  Layout layout{.delimiter = delimiter, .has_header = true};
  layout.image = find(kImageNames);
  layout.caption = find(kCaptionNames);
  const bool is_pair = names.size() == 2 && layout.image == 0;
  // "image" is a column's name, whatever the other one is called.
  if (is_pair && (names[0] == "image" || names[0] == "image_name")) layout.caption = 1;
  if (layout.image == names.size() || layout.caption == names.size()) return std::nullopt;
  if (!is_pair) layout.num_fields = names.size();
  return layout;
}

Layout layout_of(const fs::path& file, const std::string& text) {
  const char by_name = file.extension() == ".csv" ? ',' : '\t';
  for (const char delimiter : {by_name, ',', ';', '\t', '|'}) {
    if (const auto layout = read_header(text, delimiter)) return *layout;
  }
  return {.delimiter = by_name};
}

}  // namespace

std::vector<CaptionRow> read_caption_table(const fs::path& file) {
  const std::string text = read_text_file(file);
  const Layout table = layout_of(file, text);
  std::vector<CaptionRow> rows;
  uint64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    at += line.size() + 1;
    const bool is_header = ++number == 1 && table.has_header;
    if (is_header || trimmed(line).empty()) continue;
    const auto split = split_line(line, table.delimiter);
    if (!split) {
      throw FormatError(file.native(),
                        fmt::format("line {}: broken quoting; a field in quotes ends "
                                    "in its line, quotes in it are doubled",
                                    number));
    }
    const std::vector<std::string>& fields = *split;
    if (table.num_fields > 0 && fields.size() != table.num_fields) {
      throw FormatError(file.native(),
                        fmt::format("line {} has {} fields, expected {} as in the first line",
                                    number, fields.size(), table.num_fields));
    }
    if (fields.size() < 2) {
      throw FormatError(
          file.native(),
          fmt::format("line {} has no {}, expected a picture's name and a caption", number,
                      table.delimiter == '\t' ? "tab" : fmt::format("'{}'", table.delimiter)));
    }
    std::string caption = fields[table.caption];
    if (table.num_fields == 0) {
      for (size_t i = 2; i < fields.size(); ++i) caption += table.delimiter + fields[i];
    }
    // Only tabs never have blanks beside them.
    const bool is_tsv = table.delimiter == '\t';
    if (table.delimiter == '|') caption = trimmed(caption);
    rows.push_back(
        {is_tsv ? fields[table.image] : trimmed(fields[table.image]), std::move(caption), number});
  }
  return rows;
}

}  // namespace e5v
