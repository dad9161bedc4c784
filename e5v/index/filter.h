#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "e5v/index/sqlite.h"  // SqlValue

namespace e5v::detail {

enum class SqlDialect { kSqlite, kPostgres };

/// A condition on the rows of `items`, its values apart from its text.
struct SqlCondition {
  std::string text;
  std::vector<SqlValue> parameters;  ///< of `?` (SQLite) or `$1`, `$2`, … (PostgreSQL), in order
};

/// Translates a user's filter (`--where`, "where") to SQL. No part of the user's text reaches the
/// SQL: fields come from a fixed list, operators from the grammar, and values are parameters.
///
///   filter     = term { "OR" term }
///   term       = factor { "AND" factor }
///   factor     = "NOT" factor | "(" filter ")" | comparison
///   comparison = field ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
///              | field [ "NOT" ] "LIKE" string          % any text, _ one character, \ takes one
///              | field [ "NOT" ] "IN" "(" value { "," value } ")"           literally; ASCII
///              letters | field [ "NOT" ] "BETWEEN" value "AND" value                of either case
///              are equal | field "IS" [ "NOT" ] "NULL"
///   field      = "path" | "caption" | "text" | "kind" | "id" | "size" | "mtime" | "meta." name
///   value      = string in '…' ('' is a quote) | number; mtime also takes '2024-12-31' (UTC)
///
/// Key words in either case. `size` is in bytes, `mtime` in seconds since 1970; meta.NAME is a
/// field of the item's metadata, NULL where it has none, and never equal to a value of another
/// type. Throws InputError that names the column, for at most 10,000 characters and 24 levels.
SqlCondition parse_filter(std::string_view filter, SqlDialect dialect);

}  // namespace e5v::detail
