// What stands in "where": no byte of it may reach the SQL.
#include <sqlite3.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "e5v/base/error.h"
#include "e5v/index/filter.h"

using namespace e5v;
using namespace e5v::detail;

namespace {

/// SQLite itself has to take the text, and find as many parameters in it as there are.
void check_with_sqlite(const SqlCondition& condition) {
  static sqlite3* const database = [] {
    sqlite3* opened = nullptr;
    if (sqlite3_open(":memory:", &opened) != SQLITE_OK ||
        sqlite3_exec(opened,
                     "CREATE TABLE items (id INTEGER, kind TEXT, path TEXT, text TEXT, caption "
                     "TEXT, metadata TEXT, size INTEGER, mtime_ns INTEGER, hash TEXT)",
                     nullptr, nullptr, nullptr) != SQLITE_OK) {
      std::abort();
    }
    return opened;
  }();
  const std::string sql = "SELECT id FROM items WHERE " + condition.text;
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, &rest) != SQLITE_OK ||
      *rest != '\0' || sqlite3_stmt_readonly(statement) == 0 ||
      sqlite3_bind_parameter_count(statement) != static_cast<int>(condition.parameters.size())) {
    std::abort();
  }
  sqlite3_finalize(statement);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view filter(reinterpret_cast<const char*>(data), size);
  try {
    check_with_sqlite(parse_filter(filter, SqlDialect::kSqlite));
    parse_filter(filter, SqlDialect::kPostgres);
  } catch (const InputError& error) {
    if (std::string_view(error.what()).empty()) std::abort();
  }
  return 0;
}
