#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace e5v::detail {

/// A value of an SQL parameter. Text is bytes, UTF-8 or not, without a NUL.
using SqlValue = std::variant<std::nullptr_t, int64_t, double, std::string>;

/// One prepared statement of a SqliteDatabase, which must outlive it. Columns count from 0,
/// parameters from 1. Errors are thrown as those of the database.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, const std::string& path, std::string_view sql);
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  SqliteStatement& bind(int parameter, const SqlValue& value);
  /// A blob; `bytes` must stay until the statement is run.
  SqliteStatement& bind_blob(int parameter, std::string_view bytes);
  /// Binds `values` to the parameters from 1 on.
  SqliteStatement& bind_all(const std::vector<SqlValue>& values);

  /// Goes to the next row; false where there is none.
  bool step();
  /// Runs to the end, and makes the statement ready to be bound again.
  void run();

  int64_t integer(int column) const;
  std::string text(int column) const;  ///< "" for NULL
  bool is_null(int column) const;

 private:
  void check(int code) const;

  sqlite3* database_;
  std::string path_;
  sqlite3_stmt* statement_ = nullptr;
};

/// An open SQLite file. One thread at a time.
///
/// Failures: FileError where the file cannot be opened, read or written, or stays locked by others
/// for 30 s; FormatError where it is no database or damaged.
class SqliteDatabase {
 public:
  /// kOpen falls back to reading where the file may not be written.
  enum class Access { kOpen, kCreate };

  SqliteDatabase(const std::filesystem::path& path, Access access);
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;
  ~SqliteDatabase();

  SqliteStatement prepare(std::string_view sql) const;
  /// Runs statements that have no parameters and no result.
  void execute(const std::string& sql) const;
  /// The first column of the first row; nullopt without a row.
  std::optional<int64_t> find_integer(std::string_view sql) const;
  int64_t last_insert_id() const;

  /// Changes as soon as another connection has committed a change (PRAGMA data_version).
  int64_t data_version() const;

 private:
  std::string path_;
  sqlite3* database_ = nullptr;
};

/// A transaction; rolled back if destroyed before `commit`.
class SqliteTransaction {
 public:
  enum class Kind {
    kRead,   ///< one consistent state for several statements
    kWrite,  ///< also keeps other writers out from the beginning
  };

  SqliteTransaction(const SqliteDatabase& database, Kind kind);
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;
  ~SqliteTransaction();

  void commit();

 private:
  const SqliteDatabase& database_;
  bool open_ = true;
};

}  // namespace e5v::detail
