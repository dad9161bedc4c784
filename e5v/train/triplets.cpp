#include "e5v/train/triplets.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/base/random.h"
#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

/// A lost quote makes each following line fail after a long search: no more than these.
constexpr uint64_t kMaxLongFailures = 100;

bool is_anchor_name(std::string_view name) { return name == "sent0" || name == "anchor"; }
bool is_positive_name(std::string_view name) { return name == "sent1" || name == "positive"; }
bool is_negative_name(std::string_view name) {
  return name.starts_with("hard_neg") || name.starts_with("negative");
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

TripletItem item_from_json(const Json& json, const std::filesystem::path& folder) {
  if (json.is_string()) return {json.get<std::string>(), {}};
  TripletItem item;
  item.text = field_or<std::string>(json, "text", "");
  const auto image = field_or<std::string>(json, "image", "");
  if (!image.empty()) item.image = folder / image;
  return item;
}

Triplet triplet_from_json(const Json& json, const std::filesystem::path& folder) {
  if (!json.is_object())
    throw ConfigError(fmt::format("is {}, expected an object", json.type_name()));
  Triplet triplet;
  for (const auto& [key, value] : json.items()) {
    if (is_anchor_name(key)) {
      triplet.anchor = item_from_json(value, folder);
    } else if (is_positive_name(key)) {
      triplet.positive = item_from_json(value, folder);
    } else if (is_negative_name(key) && value.is_array()) {
      for (const Json& negative : value) {
        triplet.negatives.push_back(item_from_json(negative, folder));
      }
    } else if (is_negative_name(key) && !value.is_null()) {
      triplet.negatives.push_back(item_from_json(value, folder));
    }
  }
  return triplet;
}

bool is_empty(const TripletItem& item) { return is_blank(item.text) && item.image.empty(); }

bool has_image(const Triplet& triplet) {
  return !triplet.anchor.image.empty() || !triplet.positive.image.empty() ||
         std::any_of(triplet.negatives.begin(), triplet.negatives.end(),
                     [](const TripletItem& item) { return !item.image.empty(); });
}

/// What makes a well-formed row useless, or "".
std::string problem_of(Triplet& triplet) {
  if (is_empty(triplet.anchor)) return "the anchor is empty";
  if (is_empty(triplet.positive)) return "the positive is empty";
  std::erase_if(triplet.negatives, is_empty);
  return "";
}

}  // namespace

TripletFile::TripletFile(const std::filesystem::path& path, OnBadRow on_bad_row,
                         const OnSkip& on_skip)
    : file_(path) {
  const std::string extension = path.extension();
  is_json_ = extension == ".jsonl";
  if (extension == ".tsv") format_ = {.delimiter = '\t', .quotes = false};
  if (!is_json_ && extension != ".tsv" && extension != ".csv") {
    throw FormatError(path.native(), "expected a name that ends in .csv, .tsv or .jsonl");
  }
  size_t at = 0;
  uint64_t line = 1, num_long_failures = 0;
  if (!is_json_ && at < text().size()) read_header(at, line);
  while (at < text().size()) {
    const Row row = read_row(at);
    if (row.problem.empty()) {
      offsets_.push_back(at);
      has_images_ |= has_image(row.triplet);
    } else if (row.problem != "blank") {
      const std::string problem = fmt::format("line {}, column {}: {}", line + row.problem_line,
                                              row.problem_column, row.problem);
      num_long_failures += row.problem.find("quoted field") != std::string::npos;
      if (on_bad_row == OnBadRow::kStop || num_long_failures > kMaxLongFailures) {
        throw FormatError(path.native(), problem + "; --on-error skip leaves such rows out");
      }
      ++num_skipped_;
      if (on_skip) on_skip(FormatError(path.native(), problem).what());
    }
    at = row.end;
    line += row.lines;
  }
  if (offsets_.empty()) throw FormatError(path.native(), "has no usable rows");
  if (offsets_.size() > UINT32_MAX) throw FormatError(path.native(), "has more than 2^32 rows");
}

void TripletFile::read_header(size_t& at, uint64_t& line) {
  const DelimitedRecord record = read_delimited(text(), at, format_);
  bool is_header = false;
  std::vector<Column> columns;
  for (const std::string& field : record.fields) {
    const std::string name = column_name(field);
    columns.push_back(is_anchor_name(name)     ? Column::kAnchor
                      : is_positive_name(name) ? Column::kPositive
                      : is_negative_name(name) ? Column::kNegative
                                               : Column::kOther);
    is_header |= columns.back() != Column::kOther;
  }
  if (!is_header) return;
  for (const Column required : {Column::kAnchor, Column::kPositive}) {
    if (std::count(columns.begin(), columns.end(), required) != 1) {
      throw FormatError(path().native(),
                        "line 1: expected one column 'sent0' or 'anchor' and one 'sent1' or "
                        "'positive'");
    }
  }
  columns_ = std::move(columns);
  at = record.end;
  line += record.lines;
}

TripletFile::Row TripletFile::read_row(size_t begin) const {
  Row row = is_json_ ? read_json_row(begin) : read_delimited_row(begin);
  if (!row.problem.empty()) return row;
  const std::string_view bytes = text().substr(begin, row.end - begin);
  if (const size_t invalid = find_invalid_utf8(bytes); invalid != std::string_view::npos) {
    const std::string_view before = bytes.substr(0, invalid);
    row.problem = "invalid UTF-8";
    row.problem_line = static_cast<uint64_t>(std::count(before.begin(), before.end(), '\n'));
    row.problem_column = invalid - (before.find_last_of('\n') + 1) + 1;  // npos + 1 is 0
    return row;
  }
  row.problem = problem_of(row.triplet);
  return row;
}

TripletFile::Row TripletFile::read_delimited_row(size_t begin) const {
  DelimitedRecord record = read_delimited(text(), begin, format_);
  Row row{.triplet = {},
          .end = record.end,
          .lines = record.lines,
          .problem = std::move(record.problem),
          .problem_line = record.problem_line,
          .problem_column = record.problem_column};
  if (!row.problem.empty()) return row;
  if (record.fields.size() == 1 && is_blank(record.fields[0])) {
    row.problem = "blank";
    return row;
  }
  const size_t expected = columns_.size();
  const bool fits = expected > 0 ? record.fields.size() == expected : record.fields.size() >= 2;
  if (!fits) {
    row.problem = expected > 0 ? fmt::format("{} fields, expected {} as in the first line",
                                             record.fields.size(), expected)
                               : std::string("one field, expected an anchor and a positive");
    row.problem_column = record.end - begin;
    return row;
  }
  for (size_t i = 0; i < record.fields.size(); ++i) {
    const Column column = !columns_.empty() ? columns_[i]
                          : i == 0          ? Column::kAnchor
                          : i == 1          ? Column::kPositive
                                            : Column::kNegative;
    std::string& field = record.fields[i];
    if (column == Column::kAnchor) row.triplet.anchor.text = std::move(field);
    if (column == Column::kPositive) row.triplet.positive.text = std::move(field);
    if (column == Column::kNegative) row.triplet.negatives.push_back({std::move(field), {}});
  }
  return row;
}

TripletFile::Row TripletFile::read_json_row(size_t begin) const {
  Row row;
  const size_t line_end = text().find('\n', begin);
  row.end = line_end == std::string_view::npos ? text().size() : line_end + 1;
  const std::string_view line = text().substr(begin, row.end - begin);
  if (is_blank(line)) {
    row.problem = "blank";
  } else if (line.size() > kMaxFieldBytes) {
    row.problem = "a line longer than 1 MiB";
  } else {
    try {
      row.triplet = triplet_from_json(parse_json(line, "row"), path().parent_path());
    } catch (const Error& error) {
      row.problem = error.what();
    }
  }
  return row;
}

Triplet TripletFile::row(uint64_t index) const {
  Row row = read_row(offsets_.at(index));
  E5V_ASSERT(row.problem.empty());
  return std::move(row.triplet);
}

uint64_t TripletFile::line_of(uint64_t index) const {
  const std::string_view before = text().substr(0, offsets_.at(index));
  return 1 + static_cast<uint64_t>(std::count(before.begin(), before.end(), '\n'));
}

std::vector<uint32_t> epoch_order(uint64_t size, uint64_t seed, uint64_t epoch, bool shuffle) {
  E5V_ASSERT(size <= UINT32_MAX);
  std::vector<uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  if (!shuffle) return order;
  SplitMix64 random(mix64(seed) ^ epoch);
  for (uint64_t i = size; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace e5v::detail
