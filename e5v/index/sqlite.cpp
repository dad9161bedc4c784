#include "e5v/index/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr int kLockTimeout_ms = 30'000;
/// Longer LIKE patterns can be made to cost seconds a row.
constexpr int kMaxLikePattern = 500;

[[noreturn]] void fail(sqlite3* database, const std::string& path) {
  const int code = sqlite3_errcode(database);
  const std::string reason = printable(sqlite3_errmsg(database), 200);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    throw FormatError(path, fmt::format("is no intact SQLite database: {}", reason));
  }
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    throw FileError(path, "cannot write", "another process has kept it locked");
  }
  throw FileError(path, "SQLite", reason);
}

}  // namespace

SqliteStatement::SqliteStatement(sqlite3* database, const std::string& path, std::string_view sql)
    : database_(database), path_(path) {
  check(
      sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
}

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_),
      path_(std::move(other.path_)),
      statement_(std::exchange(other.statement_, nullptr)) {}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

void SqliteStatement::check(int code) const {
  if (code != SQLITE_OK) fail(database_, path_);
}

SqliteStatement& SqliteStatement::bind(int parameter, const SqlValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    check(sqlite3_bind_int64(statement_, parameter, *integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    check(sqlite3_bind_double(statement_, parameter, *number));
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    check(sqlite3_bind_text64(statement_, parameter, text->data(), text->size(), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
  } else {
    check(sqlite3_bind_null(statement_, parameter));
  }
  return *this;
}

SqliteStatement& SqliteStatement::bind_blob(int parameter, std::string_view bytes) {
  check(sqlite3_bind_blob64(statement_, parameter, bytes.data(), bytes.size(), SQLITE_STATIC));
  return *this;
}

SqliteStatement& SqliteStatement::bind_all(const std::vector<SqlValue>& values) {
  for (size_t i = 0; i < values.size(); ++i) bind(static_cast<int>(i) + 1, values[i]);
  return *this;
}

bool SqliteStatement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) fail(database_, path_);
  return false;
}

void SqliteStatement::run() {
  while (step()) {
  }
  check(sqlite3_reset(statement_));
}

int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string SqliteStatement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

SqliteDatabase::SqliteDatabase(const std::filesystem::path& path, Access access)
    : path_(path.native()) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE;
  if (access == Access::kCreate) flags |= SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &database_, flags, nullptr);
  try {
    if (database_ == nullptr) throw FileError(path_, "cannot open", "out of memory");
    if (code != SQLITE_OK) fail(database_, path_);
    sqlite3_busy_timeout(database_, kLockTimeout_ms);
    sqlite3_limit(database_, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, kMaxLikePattern);
    // A database is a file that anyone may have made: its schema must not run functions.
    sqlite3_db_config(database_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(database_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    // Every commit is on the disk before it counts.
    execute("PRAGMA synchronous = FULL");
  } catch (...) {
    sqlite3_close_v2(database_);
    throw;
  }
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(database_); }

SqliteStatement SqliteDatabase::prepare(std::string_view sql) const {
  return SqliteStatement(database_, path_, sql);
}

void SqliteDatabase::execute(const std::string& sql) const {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail(database_, path_);
  }
}

std::optional<int64_t> SqliteDatabase::find_integer(std::string_view sql) const {
  SqliteStatement statement = prepare(sql);
  if (!statement.step()) return std::nullopt;
  return statement.integer(0);
}

int64_t SqliteDatabase::last_insert_id() const { return sqlite3_last_insert_rowid(database_); }

int64_t SqliteDatabase::data_version() const {
  return find_integer("PRAGMA data_version").value_or(0);
}

SqliteTransaction::SqliteTransaction(const SqliteDatabase& database, Kind kind)
    : database_(database) {
  database_.execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
}

SqliteTransaction::~SqliteTransaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (const Error&) {  // rolled back already by the failure that brought us here
  }
}

void SqliteTransaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace e5v::detail
