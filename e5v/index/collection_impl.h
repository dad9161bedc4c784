// What collection.cpp, collection_search.cpp and collection_upkeep.cpp share; nobody else includes
// it.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/index/collection.h"
#include "e5v/index/faiss_index.h"
#include "e5v/index/flat_search.h"
#include "e5v/index/sqlite.h"
#include "e5v/index/vector_file.h"

namespace e5v::detail {

constexpr const char* kDatabaseName = "collection.db";
/// How far a vector's length may be from 1, by rounding; FlatRows::max_norm allows for it.
constexpr double kNormTolerance = 5e-4;
/// The columns that `item_of` reads, in its order.
constexpr const char* kItemColumns =
    "id, kind, path, text, caption, metadata, size, mtime_ns, hash";

CollectionItem item_of(const SqliteStatement& row);
std::filesystem::path vectors_path(const std::filesystem::path& folder, int64_t generation);
/// Waits until the folder's names are on the disk. Throws FileError.
void sync_folder(const std::filesystem::path& folder);
/// A value of the table `meta`; null where it is not there.
SqlValue meta_value(const SqliteDatabase& database, const char* key);
void set_meta(const SqliteDatabase& database, const char* key, const SqlValue& value);
void set_index_options(const SqliteDatabase& database, const IndexOptions& options);
/// Throws InputError that names `what`.
void check_unit_length(std::span<const float> vector, int64_t dimensions, std::string_view what);

/// What the database says of the approximate index: which file, over which vectors.
struct IndexRecord {
  std::string file;
  IndexOptions built;  // those that building depends on
  int64_t generation = 0;
  int64_t num_rows = 0;
  uint64_t checksum = 0;

  static std::optional<IndexRecord> read(const SqliteDatabase& database);
  std::string text() const;
};

/// One state of a collection, for searches; it stays as it is while others go on.
struct Snapshot {
  int64_t generation = 0;
  std::shared_ptr<const MappedVectors> vectors;
  std::vector<int64_t> ids;  // of each row; -1: of no item
  int64_t num_items = 0;
  std::shared_ptr<const QuantizedVectors> quantized;
  std::shared_ptr<const FaissIndex> index;
  std::string index_file;  // that `index` was read from
  std::string index_problem;
  IndexOptions index_options;

  FlatRows flat_rows() const {
    return {.data = vectors->data(),
            .dimensions = vectors->dimensions(),
            .ids = ids,
            .quantized = quantized.get()};
  }
};

struct Collection::Impl {
  std::filesystem::path folder;
  SqliteDatabase database;
  int64_t dimensions = 0;
  CollectionSettings settings;
  std::mutex mutex;  // of all below, and of the database
  std::shared_ptr<const Snapshot> snapshot;
  int64_t seen_version = -1;
  bool changed_here = true;
  bool quantize = false;

  explicit Impl(const std::filesystem::path& folder)
      : folder(folder), database(folder / kDatabaseName, SqliteDatabase::Access::kOpen) {}

  /// A number, a JSON value of the table `meta`. Throw FormatError.
  int64_t integer_meta(const char* key) const;
  Json json_meta(const char* key) const;
  int64_t generation() const { return integer_meta("generation"); }
  int64_t next_slot() const { return integer_meta("next_slot"); }

  std::shared_ptr<const Snapshot> current();
  std::shared_ptr<const Snapshot> read_snapshot();
  IndexOptions index_options() const;
  void load_index(Snapshot& fresh) const;
  void extend_quantized(Snapshot& fresh) const;
  void add(const NewItem& added, int64_t slot);
  void remove_strays(int64_t generation, const std::string& index_file) const;
  std::vector<float> read_vector(int64_t slot) const;
  std::vector<int64_t> rows_where(const std::string& where) const;
  std::vector<SearchHit> hits_of(const std::vector<ScoredRow>& rows) const;
};

}  // namespace e5v::detail
