#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// How fields stand in a line of text.
struct DelimitedFormat {
  char delimiter = ',';
  /// RFC 4180: a field in double quotes may hold delimiters, line ends and doubled quotes. Without,
  /// a quote is a character like any other (the usual TSV).
  bool quotes = true;
  /// With `quotes`: a quote within a field that does not begin with one is text, not an error.
  bool quotes_within = false;
};

/// Longest field that is read, so that one lost quote cannot swallow a file.
constexpr size_t kMaxFieldBytes = size_t{1} << 20;

/// One record, or what is wrong with it.
struct DelimitedRecord {
  std::vector<std::string> fields;
  size_t end = 0;               ///< where the next record begins (after an error: the next line)
  uint64_t lines = 1;           ///< line ends passed by, embedded ones included
  std::string problem;          ///< empty if the record is well-formed
  uint64_t problem_line = 0;    ///< lines after the record's first
  uint64_t problem_column = 1;  ///< bytes from the line's begin, from 1
};

/// Reads the record at `text[begin]`, `begin < text.size()`. Lines end in LF or CRLF.
DelimitedRecord read_delimited(std::string_view text, size_t begin, const DelimitedFormat& format);

/// A header's field as names are compared: without white space around it, ASCII in lower case.
std::string column_name(std::string_view field);

/// The fields as one RFC 4180 line with its line end (LF), quoted where needed.
std::string csv_line(const std::vector<std::string>& fields);

}  // namespace e5v::detail
