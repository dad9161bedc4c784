#include "e5v/base/delimited.h"

#include <algorithm>

namespace e5v::detail {
namespace {

/// A cursor that counts lines.
class Scanner {
 public:
  Scanner(std::string_view text, size_t begin) : text_(text), at_(begin), line_begin_(begin) {}

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return text_[at_]; }
  /// 0, 1 (LF) or 2 (CRLF): bytes of the line end here.
  size_t line_end_size() const {
    if (at_end()) return 0;
    if (peek() == '\n') return 1;
    return peek() == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n' ? 2 : 0;
  }
  char take() {
    const char c = text_[at_++];
    if (c == '\n') {
      ++lines_;
      line_begin_ = at_;
    }
    return c;
  }
  size_t at() const { return at_; }
  uint64_t lines() const { return lines_; }
  uint64_t column() const { return at_ - line_begin_ + 1; }

 private:
  std::string_view text_;
  size_t at_;
  size_t line_begin_;
  uint64_t lines_ = 0;
};

/// Reads a field up to, not including, its delimiter or line end. Returns what is wrong, or "".
std::string read_field(Scanner& scanner, const DelimitedFormat& format, std::string& field) {
  const bool quoted = format.quotes && !scanner.at_end() && scanner.peek() == '"';
  if (quoted) scanner.take();
  while (true) {
    if (field.size() > kMaxFieldBytes) {
      return quoted ? "a quoted field longer than 1 MiB; is its closing quote missing?"
                    : "a field longer than 1 MiB";
    }
    if (!quoted) {
      if (scanner.at_end() || scanner.peek() == format.delimiter || scanner.line_end_size() > 0)
        return "";
      if (format.quotes && !format.quotes_within && scanner.peek() == '"') {
        return "a quote inside a field that does not begin with one";
      }
      field.push_back(scanner.take());
      continue;
    }
    if (scanner.at_end()) return "the file ends inside a quoted field";
    const char c = scanner.take();
    if (c != '"') {
      field.push_back(c);
    } else if (!scanner.at_end() && scanner.peek() == '"') {
      field.push_back(scanner.take());
    } else {
      const bool ends =
          scanner.at_end() || scanner.peek() == format.delimiter || scanner.line_end_size() > 0;
      return ends ? "" : "text after the closing quote of a field";
    }
  }
}

}  // namespace

DelimitedRecord read_delimited(std::string_view text, size_t begin, const DelimitedFormat& format) {
  DelimitedRecord record;
  Scanner scanner(text, begin);
  while (true) {
    const Scanner field_begin = scanner;
    record.problem = read_field(scanner, format, record.fields.emplace_back());
    if (!record.problem.empty()) {
      // An open quote is reported where it opens: the end of the file says nothing.
      const bool inside = !scanner.at_end() && scanner.lines() == field_begin.lines();
      const Scanner& place = inside ? scanner : field_begin;
      record.problem_line = place.lines();
      record.problem_column = place.column();
      const size_t line_end = text.find('\n', begin);
      record.end = line_end == std::string_view::npos ? text.size() : line_end + 1;
      record.lines = 1;
      return record;
    }
    if (scanner.at_end()) break;
    if (const size_t size = scanner.line_end_size(); size > 0) {
      for (size_t i = 0; i < size; ++i) scanner.take();
      break;
    }
    scanner.take();  // the delimiter
  }
  record.end = scanner.at();
  record.lines = std::max<uint64_t>(scanner.lines(), 1);
  return record;
}

std::string column_name(std::string_view field) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = std::min(field.find_first_not_of(kSpace), field.size());
  std::string name(field.substr(begin, field.find_last_not_of(kSpace) + 1 - begin));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line.push_back(',');
    if (fields[i].find_first_of(",\"\r\n") == std::string::npos) {
      line += fields[i];
      continue;
    }
    line.push_back('"');
    for (const char c : fields[i]) {
      if (c == '"') line.push_back('"');
      line.push_back(c);
    }
    line.push_back('"');
  }
  line.push_back('\n');
  return line;
}

}  // namespace e5v::detail
