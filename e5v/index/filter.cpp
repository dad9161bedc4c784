#include "e5v/index/filter.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr size_t kMaxFilterBytes = 10'000;
/// SQLite's parser takes 100 open parentheses, of which a level has up to three.
constexpr int kMaxDepth = 24;
/// SQLite takes expressions of up to 1000 levels, and a chain of ORs has one a link.
constexpr size_t kMaxParameters = 900;

enum class FieldType { kText, kNumber, kTime, kMetadata };

struct Field {
  std::string_view name;
  FieldType type;
  std::string_view sqlite;
  std::string_view postgres;
};

/// PostgreSQL's ids are numbers and its table has the same columns (postgres.cpp).
constexpr std::array kFields = {
    Field{"path", FieldType::kText, "path", "path"},
    Field{"caption", FieldType::kText, "caption", "caption"},
    Field{"text", FieldType::kText, "text", "text"},
    Field{"kind", FieldType::kText, "kind", "kind"},
    Field{"id", FieldType::kNumber, "id", "id"},
    Field{"size", FieldType::kNumber, "size", "size"},
    Field{"mtime", FieldType::kTime, "(mtime_ns / 1e9)", "(mtime_ns / 1e9)"},
};

enum class TokenKind { kWord, kString, kNumber, kSymbol, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  ///< of a string without its quotes
  size_t column = 0;
};

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

[[noreturn]] void fail(size_t column, std::string_view problem) {
  throw InputError(fmt::format("filter, column {}: {}", column + 1, problem));
}

bool is_word_byte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
}

std::vector<Token> tokenize(std::string_view filter) {
  std::vector<Token> tokens;
  for (size_t at = 0; at < filter.size();) {
    const char c = filter[at];
    const size_t begin = at;
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at;
      continue;
    }
    Token token{.kind = TokenKind::kSymbol, .text = {}, .column = begin};
    const bool signed_number = (c == '-' || c == '+') && at + 1 < filter.size() &&
                               std::isdigit(static_cast<unsigned char>(filter[at + 1])) != 0;
    if (c == '\'') {
      token.kind = TokenKind::kString;
      for (++at;; ++at) {
        if (at == filter.size()) fail(begin, "the string has no closing quote (')");
        if (filter[at] == '\0') fail(at, "a string cannot hold a NUL");
        if (filter[at] == '\'' && !(at + 1 < filter.size() && filter[at + 1] == '\'')) break;
        if (filter[at] == '\'') ++at;
        token.text += filter[at];
      }
      ++at;
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0 || signed_number) {
      token.kind = TokenKind::kNumber;
      for (++at; at < filter.size(); ++at) {
        const bool exponent_sign =
            (filter[at] == '+' || filter[at] == '-') && (filter[at - 1] | 0x20) == 'e';
        if (!exponent_sign && (!is_word_byte(filter[at]) || filter[at] == '-')) break;
      }
      token.text = filter.substr(begin, at - begin);
    } else if (std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_') {
      token.kind = TokenKind::kWord;
      while (at < filter.size() && is_word_byte(filter[at])) ++at;
      token.text = filter.substr(begin, at - begin);
    } else {
      for (const std::string_view symbol : {"<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ","}) {
        if (filter.substr(at).starts_with(symbol)) {
          token.text = symbol;
          break;
        }
      }
      if (token.text.empty()) fail(at, fmt::format("'{}' is not expected", printable({&c, 1})));
      at += token.text.size();
    }
    tokens.push_back(std::move(token));
  }
  tokens.push_back({.kind = TokenKind::kEnd, .text = {}, .column = filter.size()});
  return tokens;
}

/// Days from 1970-01-01 to a civil date (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719468;
}

std::optional<double> parse_date(std::string_view text) {
  const auto number = [&](size_t at, size_t size) -> std::optional<int64_t> {
    int64_t value = 0;
    const char* end = text.data() + at + size;
    const auto result = std::from_chars(text.data() + at, end, value);
    if (result.ec != std::errc() || result.ptr != end || value < 0) return std::nullopt;
    return value;
  };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (!year || !month || !day || *month < 1 || *month > 12 || *day < 1 || *day > 31) {
    return std::nullopt;
  }
  return static_cast<double>(days_from_civil(*year, *month, *day)) * 86400;
}

class FilterParser {
 public:
  FilterParser(std::string_view filter, SqlDialect dialect)
      : tokens_(tokenize(filter)), dialect_(dialect) {}

  SqlCondition parse() {
    condition_.text = alternatives(0);
    if (next().kind != TokenKind::kEnd) {
      fail(next().column,
           fmt::format("expected AND, OR or the end, got '{}'", printable(next().text, 40)));
    }
    return std::move(condition_);
  }

 private:
  const Token& next() const { return tokens_[at_]; }
  bool next_is(std::string_view word) const {
    return (next().kind == TokenKind::kWord || next().kind == TokenKind::kSymbol) &&
           upper(next().text) == word;
  }
  bool take(std::string_view word) {
    if (!next_is(word)) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view word) {
    if (!take(word)) {
      fail(next().column, fmt::format("expected '{}', got {}", word, described(next())));
    }
  }
  static std::string described(const Token& token) {
    return token.kind == TokenKind::kEnd ? "the end" : "'" + printable(token.text, 40) + "'";
  }

  std::string alternatives(int depth) {
    if (depth > kMaxDepth) fail(next().column, fmt::format("nested over {} levels", kMaxDepth));
    std::string sql = conjunction(depth);
    while (take("OR")) sql += " OR " + conjunction(depth);
    return "(" + sql + ")";
  }

  std::string conjunction(int depth) {
    std::string sql = factor(depth);
    while (take("AND")) sql += " AND " + factor(depth);
    return "(" + sql + ")";
  }

  std::string factor(int depth) {
    if (depth > kMaxDepth) fail(next().column, fmt::format("nested over {} levels", kMaxDepth));
    if (take("NOT")) return "(NOT " + factor(depth + 1) + ")";
    if (take("(")) {
      std::string sql = alternatives(depth + 1);
      expect(")");
      return sql;
    }
    return comparison();
  }

  std::string comparison() {
    const Field field = take_field();
    if (take("IS")) {
      const bool negated = take("NOT");
      expect("NULL");
      return fmt::format("({} IS {}NULL)", any_value(field), negated ? "NOT " : "");
    }
    const std::string negation = take("NOT") ? "NOT " : "";
    if (take("LIKE")) {
      if (field.type == FieldType::kNumber || field.type == FieldType::kTime) {
        fail(next().column, fmt::format("'{}' is a number, LIKE needs a text", field.name));
      }
      if (next().kind != TokenKind::kString) fail(next().column, "LIKE needs a string in '…'");
      const std::string column = text_value(field);
      const std::string pattern = parameter(tokens_[at_++].text);
      const bool sqlite = dialect_ == SqlDialect::kSqlite;
      return fmt::format("({} {}{} {} ESCAPE '\\')", column, negation, sqlite ? "LIKE" : "ILIKE",
                         pattern);
    }
    if (take("IN")) {
      expect("(");
      std::string any = compared("=", field);
      while (take(",")) any += " OR " + compared("=", field);
      expect(")");
      return fmt::format("({}({}))", negation, any);
    }
    if (take("BETWEEN")) {
      const std::string low = compared(">=", field);
      expect("AND");
      return fmt::format("({}({} AND {}))", negation, low, compared("<=", field));
    }
    if (!negation.empty()) {
      fail(next().column, "expected LIKE, IN or BETWEEN after NOT, got " + described(next()));
    }
    for (const std::string_view op : {"=", "!=", "<>", "<=", ">=", "<", ">"}) {
      if (take(op)) return compared(op == "!=" ? "<>" : op, field);
    }
    fail(next().column, "expected a comparison (=, !=, <, <=, >, >=, LIKE, IN, BETWEEN, IS), got " +
                            described(next()));
  }

  /// `field op value` for the value that comes next.
  std::string compared(std::string_view op, const Field& field) {
    const Token token = tokens_[at_++];
    if (token.kind == TokenKind::kString) {
      if (field.type == FieldType::kNumber) {
        fail(token.column, fmt::format("'{}' is a number", field.name));
      }
      if (field.type == FieldType::kTime) {
        const auto seconds = parse_date(token.text);
        if (!seconds) fail(token.column, "a date is written '2024-12-31'");
        return fmt::format("({} {} {})", number_value(field), op, parameter(*seconds));
      }
      const std::string column = text_value(field);
      return fmt::format("({} {} {})", column, op, parameter(token.text));
    }
    if (token.kind != TokenKind::kNumber) {
      fail(token.column, "expected a number or a string in '…', got " + described(token));
    }
    if (field.type == FieldType::kText) {
      fail(token.column, fmt::format("'{}' is a text, write '{}'", field.name, token.text));
    }
    std::string_view digits = token.text;
    if (digits.starts_with('+')) digits.remove_prefix(1);
    double number = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
      fail(token.column, fmt::format("'{}' is not a number", printable(token.text, 40)));
    }
    const std::string column = number_value(field);
    return fmt::format("({} {} {})", column, op, parameter(number));
  }

  Field take_field() {
    const Token token = tokens_[at_];
    if (token.kind != TokenKind::kWord)
      fail(token.column, "expected a field, got " + described(token));
    ++at_;
    const std::string name = upper(token.text);
    for (const Field& field : kFields) {
      if (upper(field.name) == name) return field;
    }
    if (name.starts_with("META.") && name.size() > 5) {
      metadata_name_ = token.text.substr(5);
      return {"meta", FieldType::kMetadata, "", ""};
    }
    fail(token.column,
         fmt::format("there is no field '{}', expected path, caption, text, kind, id, "
                     "size, mtime or meta.NAME",
                     printable(token.text, 40)));
  }

  std::string parameter(SqlValue value) {
    if (condition_.parameters.size() == kMaxParameters) {
      fail(next().column, fmt::format("more than {} values", kMaxParameters));
    }
    condition_.parameters.push_back(std::move(value));
    return dialect_ == SqlDialect::kSqlite ? "?" : fmt::format("${}", condition_.parameters.size());
  }

  std::string column_of(const Field& field) const {
    return std::string(dialect_ == SqlDialect::kSqlite ? field.sqlite : field.postgres);
  }

  /// The metadata's field as SQLite's JSON path: its characters are letters, digits, '_', '-', '.'.
  std::string metadata_path() { return parameter("$.\"" + metadata_name_ + "\""); }

  std::string any_value(const Field& field) {
    if (field.type != FieldType::kMetadata) return column_of(field);
    if (dialect_ == SqlDialect::kSqlite) {
      return fmt::format("json_extract(metadata, {})", metadata_path());
    }
    return fmt::format("(metadata ->> {}::text)", parameter(metadata_name_));
  }

  std::string text_value(const Field& field) {
    if (field.type != FieldType::kMetadata) return column_of(field);
    if (dialect_ == SqlDialect::kSqlite) {
      const std::string type = metadata_path();
      return fmt::format(
          "(CASE WHEN json_type(metadata, {}) = 'text' THEN json_extract(metadata, {}) END)", type,
          metadata_path());
    }
    const std::string type = parameter(metadata_name_);
    return fmt::format(
        "(CASE WHEN jsonb_typeof(metadata -> {}::text) = 'string' THEN metadata ->> {}::text END)",
        type, parameter(metadata_name_));
  }

  std::string number_value(const Field& field) {
    if (field.type != FieldType::kMetadata) return column_of(field);
    if (dialect_ == SqlDialect::kSqlite) {
      const std::string type = metadata_path();
      return fmt::format(
          "(CASE WHEN json_type(metadata, {}) IN ('integer', 'real') THEN "
          "json_extract(metadata, {}) END)",
          type, metadata_path());
    }
    const std::string type = parameter(metadata_name_);
    return fmt::format(
        "(CASE WHEN jsonb_typeof(metadata -> {}::text) = 'number' THEN "
        "(metadata ->> {}::text)::float8 END)",
        type, parameter(metadata_name_));
  }

  std::vector<Token> tokens_;
  SqlDialect dialect_;
  size_t at_ = 0;
  std::string metadata_name_;
  SqlCondition condition_;
};

}  // namespace

SqlCondition parse_filter(std::string_view filter, SqlDialect dialect) {
  if (filter.size() > kMaxFilterBytes) {
    throw InputError(fmt::format("the filter has {} bytes, at most {} are taken", filter.size(),
                                 kMaxFilterBytes));
  }
  return FilterParser(filter, dialect).parse();
}

}  // namespace e5v::detail
