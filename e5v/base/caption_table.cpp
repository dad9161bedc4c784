#include "e5v/base/caption_table.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "e5v/base/delimited.h"
#include "e5v/base/error.h"
#include "e5v/base/text_file.h"

namespace e5v::detail {
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
DelimitedFormat format_of(char delimiter) {
  return {.delimiter = delimiter,
          .quotes = delimiter == ',' || delimiter == ';',
          .quotes_within = true};
}

/// The layout of a table that begins with names of columns.
std::optional<Layout> read_header(const std::string& text, char delimiter) {
  constexpr std::array<std::string_view, 8> kImageNames = {
      "image", "image_name", "image_path", "filename", "file_name", "file", "path", "img"};
  constexpr std::array<std::string_view, 6> kCaptionNames = {"caption",  "captions",    "text",
                                                             "sentence", "description", "comment"};
  if (text.empty()) return std::nullopt;
  const DelimitedRecord first = read_delimited(text, 0, format_of(delimiter));
  if (!first.problem.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const std::string& field : first.fields) names.push_back(column_name(field));
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
  uint64_t next_line = 1;
  for (size_t at = 0; at < text.size();) {
    const DelimitedRecord record = read_delimited(text, at, format_of(table.delimiter));
    const std::vector<std::string>& fields = record.fields;
    const uint64_t line = std::exchange(next_line, next_line + record.lines);
    at = record.end;
    if (line == 1 && table.has_header) continue;
    if (!record.problem.empty()) {
      throw FormatError(file.native(), fmt::format("line {}: broken quoting: {}",
                                                   line + record.problem_line, record.problem));
    }
    const auto is_blank = [](const std::string& field) { return trimmed(field).empty(); };
    if (std::all_of(fields.begin(), fields.end(), is_blank)) continue;
    if (table.num_fields > 0 && fields.size() != table.num_fields) {
      throw FormatError(file.native(),
                        fmt::format("line {} has {} fields, expected {} as in the first line", line,
                                    fields.size(), table.num_fields));
    }
    if (fields.size() < 2) {
      throw FormatError(
          file.native(),
          fmt::format("line {} has no {}, expected a picture's name and a caption", line,
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
        {is_tsv ? fields[table.image] : trimmed(fields[table.image]), std::move(caption), line});
  }
  return rows;
}

}  // namespace e5v::detail
