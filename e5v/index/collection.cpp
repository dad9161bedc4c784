#include "e5v/index/collection.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <mutex>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/index/filter.h"
#include "e5v/index/flat_search.h"
#include "e5v/index/sqlite.h"
#include "e5v/index/vector_file.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDatabaseName = "collection.db";
constexpr const char* kLockName = "lock";
constexpr int64_t kFormatVersion = 1;
constexpr int64_t kApplicationId = 0x65357663;  // "e5vc"
constexpr int64_t kMaxResults = 100'000;
/// How far a vector's length may be from 1, by rounding; FlatRows::max_norm allows for it.
constexpr double kNormTolerance = 5e-4;

constexpr const char* kSchema = R"sql(
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slot INTEGER NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    path TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    caption TEXT NOT NULL,
    metadata TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    hash TEXT NOT NULL);
  CREATE INDEX items_hash ON items (hash);
  CREATE TABLE skipped (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    reason TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE contents (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL);
)sql";

constexpr const char* kItemColumns =
    "id, kind, path, text, caption, metadata, size, mtime_ns, hash";

CollectionItem item_of(const SqliteStatement& row) {
  CollectionItem item;
  item.id = row.integer(0);
  item.kind = row.text(1);
  item.path = row.text(2);
  item.text = row.text(3);
  item.caption = row.text(4);
  item.metadata = Json::parse(row.text(5), nullptr, /*allow_exceptions=*/false);
  if (!item.metadata.is_object()) item.metadata = Json::object();
  item.size = row.integer(6);
  item.mtime_ns = row.integer(7);
  item.hash = row.text(8);
  return item;
}

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

fs::path vectors_path(const fs::path& folder, int64_t generation) {
  return folder / fmt::format("vectors-{}.f32", generation);
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw FileError(folder.native(), "cannot open", system_reason(errno));
  const int result = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  if (result != 0) throw FileError(folder.native(), "cannot sync", system_reason(reason));
}

SqlValue meta_value(const SqliteDatabase& database, const char* key) {
  SqliteStatement statement = database.prepare("SELECT value FROM meta WHERE key = ?");
  statement.bind(1, std::string(key));
  if (!statement.step() || statement.is_null(0)) return nullptr;
  return statement.text(0);
}

void set_meta(const SqliteDatabase& database, const char* key, const SqlValue& value) {
  database
      .prepare(
          "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
      .bind_all({std::string(key), value})
      .run();
}

/// What the database says of the approximate index: which file, over which vectors.
struct AnnRecord {
  std::string file;
  IndexKind kind = IndexKind::kFlat;
  int64_t generation = 0;
  int64_t num_rows = 0;
  uint64_t checksum = 0;

  static std::optional<AnnRecord> read(const SqliteDatabase& database) {
    const SqlValue value = meta_value(database, "ann");
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return std::nullopt;
    const Json json = parse_json(*text, kDatabaseName);
    return AnnRecord{.file = require_field<std::string>(json, "file"),
                     .kind = find_index_kind(require_field<std::string>(json, "kind")),
                     .generation = require_field<int64_t>(json, "generation"),
                     .num_rows = require_field<int64_t>(json, "num_rows"),
                     .checksum = require_field<uint64_t>(json, "checksum")};
  }
  std::string text() const {
    return Json({{"file", file},
                 {"kind", to_string(kind)},
                 {"generation", generation},
                 {"num_rows", num_rows},
                 {"checksum", checksum}})
        .dump();
  }
};

/// One state of a collection, for searches; it stays as it is while others go on.
struct Snapshot {
  int64_t generation = 0;
  std::shared_ptr<const MappedVectors> vectors;
  std::vector<int64_t> ids;  // of each row; -1: of no item
  int64_t num_items = 0;
  std::shared_ptr<const QuantizedRows> quantized;
  std::shared_ptr<const AnnIndex> ann;
  std::string ann_problem;

  FlatRows flat_rows() const {
    return {.data = vectors->data(),
            .dimensions = vectors->dimensions(),
            .ids = ids,
            .quantized = quantized.get()};
  }
};

void check_unit_length(std::span<const float> vector, int64_t dimensions, std::string_view what) {
  if (static_cast<int64_t>(vector.size()) != dimensions) {
    throw InputError(fmt::format("{} has {} dimensions, the collection's vectors have {}", what,
                                 vector.size(), dimensions));
  }
  const double norm = std::sqrt(exact_dot(vector, vector));
  if (!(std::abs(norm - 1) <= kNormTolerance)) {
    throw InputError(fmt::format("{} has length {}, expected 1", what, norm));
  }
}

}  // namespace

struct Collection::Impl {
  fs::path folder;
  SqliteDatabase database;
  int64_t dimensions = 0;
  CollectionSettings settings;
  std::mutex mutex;  // of all below, and of the database
  std::shared_ptr<const Snapshot> snapshot;
  int64_t seen_version = -1;
  bool changed_here = true;
  bool quantize = false;

  explicit Impl(const fs::path& folder)
      : folder(folder), database(folder / kDatabaseName, SqliteDatabase::Access::kOpen) {}

  int64_t integer_meta(const char* key) const {
    const SqlValue value = meta_value(database, key);
    const auto* text = std::get_if<std::string>(&value);
    try {
      if (text != nullptr) return std::stoll(*text);
    } catch (const std::exception&) {  // reported below
    }
    throw FormatError((folder / kDatabaseName).native(),
                      fmt::format("'{}' is missing or not a number", key));
  }
  Json json_meta(const char* key) const {
    const SqlValue value = meta_value(database, key);
    const auto* text = std::get_if<std::string>(&value);
    const std::string source = (folder / kDatabaseName).native();
    if (text == nullptr) throw FormatError(source, fmt::format("'{}' is missing", key));
    return parse_json(*text, source);
  }
  int64_t generation() const { return integer_meta("generation"); }
  int64_t next_slot() const { return integer_meta("next_slot"); }

  std::shared_ptr<const Snapshot> current();
  std::shared_ptr<const Snapshot> read_snapshot();
  void load_ann(Snapshot& fresh) const;
  void extend_quantized(Snapshot& fresh) const;
  void add(const NewItem& added, int64_t slot);
  void remove_strays(int64_t generation, const std::string& ann_file) const;
  std::vector<float> read_vector(int64_t slot) const;
  std::vector<int64_t> rows_where(const std::string& where) const;
  std::vector<SearchHit> hits_of(const std::vector<ScoredRow>& rows) const;
};

void Collection::create(const fs::path& folder, const CollectionSettings& settings) {
  const int64_t dimensions = settings.dimensions;
  if (dimensions < 1) {
    throw ConfigError(fmt::format("a collection of {} dimensions cannot be", dimensions));
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw FileError(folder.native(), "cannot create", error.message());
  const fs::path database_path = folder / kDatabaseName;
  if (fs::exists(database_path)) {
    throw ConfigError(fmt::format("{}: is a collection already", folder.native()));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    // What a run leaves that was killed here may stay: the lock, and files without a name yet.
    const std::string name = entry.path().filename().native();
    if (name == kLockName || name.starts_with("vectors-1.") || name.starts_with("new-")) continue;
    throw ConfigError(
        fmt::format("{}: is not empty and no collection, choose another folder", folder.native()));
  }
  VectorFile(vectors_path(folder, 1), dimensions).sync();
  // Complete before it has its name: a killed run leaves a collection or none.
  const fs::path new_path = folder / fmt::format("new-{}.db", ::getpid());
  fs::remove(new_path, error);
  {
    const SqliteDatabase database(new_path, SqliteDatabase::Access::kCreate);
    SqliteTransaction transaction(database, SqliteTransaction::Kind::kWrite);
    database.execute(kSchema);
    database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId));
    database.execute(fmt::format("PRAGMA user_version = {}", kFormatVersion));
    set_meta(database, "dimensions", std::to_string(dimensions));
    set_meta(database, "fingerprint", json_text(settings.fingerprint));
    set_meta(database, "embedder", json_text(settings.embedder));
    set_meta(database, "generation", std::string("1"));
    set_meta(database, "next_slot", std::string("0"));
    set_meta(database, "index", std::string(to_string(settings.index)));
    transaction.commit();
  }
  fs::rename(new_path, database_path, error);
  if (error) throw FileError(database_path.native(), "cannot create", error.message());
  sync_folder(folder);
}

Collection::Collection(const fs::path& folder) {
  const fs::path database_path = folder / kDatabaseName;
  if (!fs::exists(database_path)) {
    throw FileError(folder.native(), "cannot open",
                    "it holds no collection; make one with: e5v index PHOTOS --collection DIR "
                    "--model DIR");
  }
  impl_ = std::make_unique<Impl>(folder);
  const SqliteDatabase& database = impl_->database;
  const int64_t version = database.find_integer("PRAGMA user_version").value_or(0);
  if (database.find_integer("PRAGMA application_id").value_or(0) != kApplicationId) {
    throw FormatError(database_path.native(), "is no collection of e5v");
  }
  if (version != kFormatVersion) {
    throw FormatError(database_path.native(),
                      fmt::format("has format {}, this program knows {}", version, kFormatVersion));
  }
  impl_->dimensions = impl_->integer_meta("dimensions");
  if (impl_->dimensions < 1 || impl_->dimensions > (1 << 24)) {
    throw FormatError(database_path.native(), fmt::format("'dimensions' is {}", impl_->dimensions));
  }
  impl_->settings = {.dimensions = impl_->dimensions,
                     .fingerprint = impl_->json_meta("fingerprint"),
                     .embedder = impl_->json_meta("embedder")};
}

Collection::~Collection() = default;

const fs::path& Collection::folder() const { return impl_->folder; }
const CollectionSettings& Collection::settings() const { return impl_->settings; }

CollectionInfo Collection::info() {
  const std::lock_guard lock(impl_->mutex);
  const SqliteTransaction transaction(impl_->database, SqliteTransaction::Kind::kRead);
  CollectionInfo info;
  info.num_items = impl_->database.find_integer("SELECT count(*) FROM items").value_or(0);
  info.num_skipped = impl_->database.find_integer("SELECT count(*) FROM skipped").value_or(0);
  info.settings = impl_->settings;
  const SqlValue index = meta_value(impl_->database, "index");
  if (const auto* name = std::get_if<std::string>(&index)) {
    info.settings.index = find_index_kind(*name);
  }
  if (const auto ann = AnnRecord::read(impl_->database)) info.num_indexed = ann->num_rows;
  info.num_unused = impl_->next_slot() - info.num_items;
  for (const fs::directory_entry& entry : fs::directory_iterator(impl_->folder)) {
    std::error_code gone;
    const uint64_t size = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (!gone) info.disk_bytes += size;
  }
  return info;
}

void Collection::Impl::add(const NewItem& added, int64_t slot) {
  const CollectionItem& item = added.item;
  database
      .prepare(
          "INSERT INTO items (slot, kind, path, text, caption, metadata, size, mtime_ns, hash) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
          "slot = excluded.slot, kind = excluded.kind, text = excluded.text, "
          "caption = excluded.caption, metadata = excluded.metadata, size = excluded.size, "
          "mtime_ns = excluded.mtime_ns, hash = excluded.hash")
      .bind_all({slot, item.kind, item.path, item.text, item.caption, json_text(item.metadata),
                 item.size, item.mtime_ns, item.hash})
      .run();
  database.prepare("DELETE FROM skipped WHERE path = ?").bind(1, item.path).run();
  if (!added.content.empty()) {
    database.prepare("INSERT OR IGNORE INTO contents VALUES (?, ?)")
        .bind(1, item.hash)
        .bind_blob(2, added.content)
        .run();
  }
}

void Collection::apply(const CollectionChanges& changes) {
  if (changes.empty()) return;
  std::vector<float> rows;
  for (const NewItem& added : changes.added) {
    check_unit_length(added.vector, impl_->dimensions,
                      "the vector of '" + printable(added.item.path) + "'");
    rows.insert(rows.end(), added.vector.begin(), added.vector.end());
  }
  const std::lock_guard lock(impl_->mutex);
  const SqliteDatabase& database = impl_->database;
  SqliteTransaction transaction(database, SqliteTransaction::Kind::kWrite);
  if (!rows.empty()) {
    // The vectors first: rows beyond `next_slot` do not count until the commit below.
    const int64_t first_slot = impl_->next_slot();
    VectorFile file(vectors_path(impl_->folder, impl_->generation()), impl_->dimensions);
    file.write(first_slot, rows);
    file.sync();
    int64_t slot = first_slot;
    for (const NewItem& added : changes.added) impl_->add(added, slot++);
    set_meta(database, "next_slot", std::to_string(slot));
  }
  // Removals before updates: a file may have moved to the place of one that is gone.
  for (const int64_t id : changes.removed) {
    database.prepare("DELETE FROM items WHERE id = ?").bind(1, id).run();
  }
  for (const CollectionItem& item : changes.updated) {
    database
        .prepare(
            "UPDATE items SET path = ?, caption = ?, metadata = ?, size = ?, mtime_ns = ?, "
            "hash = ? WHERE id = ?")
        .bind_all({item.path, item.caption, json_text(item.metadata), item.size, item.mtime_ns,
                   item.hash, item.id})
        .run();
    database.prepare("DELETE FROM skipped WHERE path = ?").bind(1, item.path).run();
  }
  for (const SkippedFile& file : changes.skipped) {
    database.prepare("INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?)")
        .bind_all({file.path, file.size, file.mtime_ns, file.reason})
        .run();
  }
  for (const std::string& path : changes.forgotten) {
    database.prepare("DELETE FROM skipped WHERE path = ?").bind(1, path).run();
  }
  transaction.commit();
  impl_->changed_here = true;
}

void Collection::for_each_item(const std::function<void(const CollectionItem&)>& visit) {
  const std::lock_guard lock(impl_->mutex);
  SqliteStatement statement =
      impl_->database.prepare(fmt::format("SELECT {} FROM items ORDER BY id", kItemColumns));
  while (statement.step()) visit(item_of(statement));
}

std::vector<SkippedFile> Collection::skipped_files() {
  const std::lock_guard lock(impl_->mutex);
  SqliteStatement statement =
      impl_->database.prepare("SELECT path, size, mtime_ns, reason FROM skipped ORDER BY path");
  std::vector<SkippedFile> files;
  while (statement.step()) {
    files.push_back({.path = statement.text(0),
                     .size = statement.integer(1),
                     .mtime_ns = statement.integer(2),
                     .reason = statement.text(3)});
  }
  return files;
}

std::optional<CollectionItem> Collection::find_item(int64_t id) {
  const std::lock_guard lock(impl_->mutex);
  SqliteStatement statement =
      impl_->database.prepare(fmt::format("SELECT {} FROM items WHERE id = ?", kItemColumns));
  statement.bind(1, id);
  if (!statement.step()) return std::nullopt;
  return item_of(statement);
}

std::optional<std::string> Collection::find_content(const std::string& hash) {
  const std::lock_guard lock(impl_->mutex);
  SqliteStatement statement = impl_->database.prepare("SELECT bytes FROM contents WHERE hash = ?");
  statement.bind(1, hash);
  if (!statement.step()) return std::nullopt;
  return statement.text(0);
}

std::vector<float> Collection::Impl::read_vector(int64_t slot) const {
  const MappedVectors vectors(vectors_path(folder, generation()), dimensions, slot + 1);
  const auto row = vectors.row(slot);
  return {row.begin(), row.end()};
}

std::vector<float> Collection::find_vector(int64_t id) {
  const std::lock_guard lock(impl_->mutex);
  const SqliteTransaction transaction(impl_->database, SqliteTransaction::Kind::kRead);
  SqliteStatement statement = impl_->database.prepare("SELECT slot FROM items WHERE id = ?");
  statement.bind(1, id);
  return statement.step() ? impl_->read_vector(statement.integer(0)) : std::vector<float>();
}

std::vector<float> Collection::find_vector(const std::string& hash) {
  const std::lock_guard lock(impl_->mutex);
  const SqliteTransaction transaction(impl_->database, SqliteTransaction::Kind::kRead);
  SqliteStatement statement =
      impl_->database.prepare("SELECT slot FROM items WHERE hash = ? LIMIT 1");
  statement.bind(1, hash);
  return statement.step() ? impl_->read_vector(statement.integer(0)) : std::vector<float>();
}

std::shared_ptr<const Snapshot> Collection::Impl::current() {
  const std::lock_guard lock(mutex);
  const int64_t version = database.data_version();
  if (snapshot && version == seen_version && !changed_here) return snapshot;
  for (int attempt = 1;; ++attempt) {
    try {
      snapshot = read_snapshot();
      break;
    } catch (const FileError&) {
      // Another process may have compacted between our look at the database and at the file.
      if (attempt == 3) throw;
    }
  }
  seen_version = version;
  changed_here = false;
  return snapshot;
}

std::shared_ptr<const Snapshot> Collection::Impl::read_snapshot() {
  auto fresh = std::make_shared<Snapshot>();
  {
    const SqliteTransaction transaction(database, SqliteTransaction::Kind::kRead);
    fresh->generation = generation();
    const int64_t num_rows = next_slot();
    fresh->vectors = std::make_shared<MappedVectors>(vectors_path(folder, fresh->generation),
                                                     dimensions, num_rows);
    fresh->ids.assign(static_cast<size_t>(num_rows), -1);
    SqliteStatement statement = database.prepare("SELECT slot, id FROM items");
    while (statement.step()) {
      const int64_t slot = statement.integer(0);
      if (slot < 0 || slot >= num_rows) {
        throw FormatError(
            (folder / kDatabaseName).native(),
            fmt::format("item {} has vector {} of {}", statement.integer(1), slot, num_rows));
      }
      fresh->ids[static_cast<size_t>(slot)] = statement.integer(1);
      ++fresh->num_items;
    }
    load_ann(*fresh);
  }
  if (quantize) extend_quantized(*fresh);
  return fresh;
}

void Collection::Impl::load_ann(Snapshot& fresh) const {
  const auto record = AnnRecord::read(database);
  if (!record || record->generation != fresh.generation) return;
  if (snapshot && snapshot->ann && snapshot->generation == fresh.generation &&
      snapshot->ann->num_rows() == record->num_rows) {
    fresh.ann = snapshot->ann;
    return;
  }
  const fs::path name = record->file;
  if (name != name.filename()) {
    throw FormatError((folder / kDatabaseName).native(), "the index is outside the collection");
  }
  try {
    fresh.ann =
        std::make_shared<AnnIndex>(AnnIndex::load(folder / name, record->checksum, dimensions));
  } catch (const Error& error) {
    // The index is only a short cut: without it every vector is compared.
    fresh.ann_problem = error.what();
  }
}

void Collection::Impl::extend_quantized(Snapshot& fresh) const {
  const int64_t num_rows = static_cast<int64_t>(fresh.ids.size());
  int64_t known = 0;
  if (snapshot && snapshot->quantized && snapshot->generation == fresh.generation) {
    fresh.quantized = snapshot->quantized;
    known = fresh.quantized->num_rows();
    // Rows beyond are compared in full; a copy for every few new ones would cost more.
    if (num_rows - known <= known / 8) return;
  }
  auto quantized = fresh.quantized ? std::make_shared<QuantizedRows>(*fresh.quantized)
                                   : std::make_shared<QuantizedRows>(dimensions);
  quantized->append({fresh.vectors->data() + known * dimensions,
                     static_cast<size_t>((num_rows - known) * dimensions)});
  fresh.quantized = std::move(quantized);
}

void Collection::prepare_for_many_searches() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->quantize = true;
    impl_->changed_here = true;
  }
  impl_->current();
}

std::vector<int64_t> Collection::Impl::rows_where(const std::string& where) const {
  const SqlCondition condition = parse_filter(where, SqlDialect::kSqlite);
  SqliteStatement statement = database.prepare("SELECT slot FROM items WHERE " + condition.text);
  statement.bind_all(condition.parameters);
  std::vector<int64_t> rows;
  while (statement.step()) rows.push_back(statement.integer(0));
  return rows;
}

std::vector<SearchHit> Collection::Impl::hits_of(const std::vector<ScoredRow>& rows) const {
  SqliteStatement statement =
      database.prepare(fmt::format("SELECT {} FROM items WHERE id = ?", kItemColumns));
  std::vector<SearchHit> hits;
  for (const ScoredRow& row : rows) {
    statement.bind(1, row.id);
    // An item that another process has just removed is not shown.
    if (statement.step()) hits.push_back({.item = item_of(statement), .score = row.score});
    statement.run();
  }
  return hits;
}

namespace {

/// Exact scores of `rows`; rows of no item are passed over.
std::vector<ScoredRow> score_rows(const Snapshot& snapshot, const std::vector<int64_t>& rows,
                                  const SearchQuery& query) {
  std::vector<ScoredRow> scored(rows.size());
#pragma omp parallel for if (rows.size() > 1000)
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = rows[i];
    const bool known = row >= 0 && row < static_cast<int64_t>(snapshot.ids.size());
    scored[i].row = row;
    scored[i].id = known ? snapshot.ids[static_cast<size_t>(row)] : -1;
    if (scored[i].id >= 0) scored[i].score = exact_dot(snapshot.vectors->row(row), query.vector);
  }
  std::erase_if(scored, [](const ScoredRow& row) { return row.id < 0; });
  keep_best(scored, query.k, query.min_score);
  return scored;
}

std::vector<ScoredRow> search_approximately(const Snapshot& snapshot, const SearchQuery& query) {
  const int64_t num_indexed = snapshot.ann->num_rows();
  const auto num_rows = static_cast<int64_t>(snapshot.ids.size());
  const int64_t wanted = std::min(query.k, snapshot.num_items);
  // More than asked for: the exact scores below choose among them, and some may be of no item.
  for (int64_t count = 4 * wanted + 50;; count *= 4) {
    std::vector<int64_t> rows = snapshot.ann->search(query.vector, count);
    // Vectors that came after the index was built.
    for (int64_t row = num_indexed; row < num_rows; ++row) rows.push_back(row);
    SearchQuery all = query;
    all.min_score = -std::numeric_limits<double>::infinity();
    std::vector<ScoredRow> best = score_rows(snapshot, rows, all);
    if (static_cast<int64_t>(best.size()) == wanted) {
      keep_best(best, query.k, query.min_score);
      return best;
    }
    // So many that the index does not reach them.
    if (count >= num_indexed) {
      return flat_search(snapshot.flat_rows(), query.vector, query.k, query.min_score);
    }
  }
}

std::vector<ScoredRow> search_rows(const Snapshot& snapshot, const SearchQuery& query,
                                   const std::optional<std::vector<int64_t>>& allowed) {
  if (!allowed && snapshot.ann) return search_approximately(snapshot, query);
  if (!allowed) return flat_search(snapshot.flat_rows(), query.vector, query.k, query.min_score);
  // Scoring a row at a time in double precision costs some five times the scan.
  if (allowed->size() < snapshot.ids.size() / 5) return score_rows(snapshot, *allowed, query);
  std::vector<int64_t> ids(snapshot.ids.size(), -1);
  for (const int64_t row : *allowed) {
    if (row >= 0 && row < static_cast<int64_t>(ids.size())) {
      ids[static_cast<size_t>(row)] = snapshot.ids[static_cast<size_t>(row)];
    }
  }
  FlatRows rows = snapshot.flat_rows();
  rows.ids = ids;
  return flat_search(rows, query.vector, query.k, query.min_score);
}

}  // namespace

std::vector<SearchHit> Collection::search(const SearchQuery& query) {
  check_unit_length(query.vector, impl_->dimensions, "the query's vector");
  if (query.k < 1 || query.k > kMaxResults) {
    throw InputError(
        fmt::format("{} results are asked for, expected 1 to {}", query.k, kMaxResults));
  }
  const auto snapshot = impl_->current();
  std::optional<std::vector<int64_t>> allowed;
  if (!query.where.empty()) {
    const std::lock_guard lock(impl_->mutex);
    allowed = impl_->rows_where(query.where);
  }
  const std::vector<ScoredRow> best = search_rows(*snapshot, query, allowed);
  const std::lock_guard lock(impl_->mutex);
  return impl_->hits_of(best);
}

void Collection::choose_index(IndexKind index) {
  const std::lock_guard lock(impl_->mutex);
  set_meta(impl_->database, "index", std::string(to_string(index)));
}

void Collection::Impl::remove_strays(int64_t generation, const std::string& ann_file) const {
  const std::string vectors = vectors_path(folder, generation).filename().native();
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().native();
    const bool stray_vectors = name.starts_with("vectors-") && name != vectors;
    const bool stray_index = name.starts_with("index-") && name != ann_file;
    std::error_code ignored;
    if (stray_vectors || stray_index) fs::remove(entry.path(), ignored);
  }
}

void Collection::update_index(const ProgressCallback& on_progress) {
  const IndexKind chosen = info().settings.index;
  const auto snapshot = impl_->current();
  const IndexKind kind = resolve(chosen, snapshot->num_items);
  const auto num_rows = static_cast<int64_t>(snapshot->ids.size());
  const auto record = [&] {
    const std::lock_guard lock(impl_->mutex);
    return AnnRecord::read(impl_->database);
  }();
  const bool usable = record && record->kind == kind && record->generation == snapshot->generation;
  if (usable && record->num_rows == num_rows) return;

  std::optional<AnnRecord> made;
  if (kind != IndexKind::kFlat && num_rows > 0) {
    const auto report = [&](int64_t done, int64_t total) {
      if (on_progress) on_progress(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
    };
    const int64_t first = usable ? record->num_rows : 0;
    const std::span<const float> rows(snapshot->vectors->data() + first * impl_->dimensions,
                                      static_cast<size_t>((num_rows - first) * impl_->dimensions));
    std::optional<AnnIndex> index;
    if (usable) {
      index = AnnIndex::load(impl_->folder / record->file, record->checksum, impl_->dimensions);
      index->add(rows, report);
    } else {
      index = AnnIndex::build(kind, impl_->dimensions, rows, report);
    }
    made = AnnRecord{.file = fmt::format("index-{}-{}.faiss", snapshot->generation, num_rows),
                     .kind = kind,
                     .generation = snapshot->generation,
                     .num_rows = num_rows};
    made->checksum = index->save(impl_->folder / made->file);
  }
  const std::lock_guard lock(impl_->mutex);
  set_meta(impl_->database, "ann", made ? SqlValue(made->text()) : SqlValue(nullptr));
  impl_->changed_here = true;
  impl_->remove_strays(impl_->generation(), made ? made->file : "");
}

void Collection::compact(const ProgressCallback& on_progress) {
  {
    const std::lock_guard lock(impl_->mutex);
    const SqliteDatabase& database = impl_->database;
    SqliteTransaction transaction(database, SqliteTransaction::Kind::kWrite);
    const int64_t generation = impl_->generation();
    const MappedVectors old(vectors_path(impl_->folder, generation), impl_->dimensions,
                            impl_->next_slot());
    const auto ann = AnnRecord::read(database);
    impl_->remove_strays(generation, ann ? ann->file : "");
    VectorFile compacted(vectors_path(impl_->folder, generation + 1), impl_->dimensions);
    std::vector<std::pair<int64_t, int64_t>> items;  // id, slot
    SqliteStatement rows = database.prepare("SELECT id, slot FROM items ORDER BY id");
    while (rows.step()) items.emplace_back(rows.integer(0), rows.integer(1));
    // Slots are unique at every moment, so they first leave the range of the new ones.
    database.execute("UPDATE items SET slot = -1 - slot");
    int64_t slot = 0;
    for (const auto& [id, old_slot] : items) {
      if (old_slot < 0 || old_slot >= old.num_rows()) {
        throw FormatError((impl_->folder / kDatabaseName).native(),
                          fmt::format("item {} has no vector; see: e5v collections verify", id));
      }
      compacted.write(slot, old.row(old_slot));
      database.prepare("UPDATE items SET slot = ? WHERE id = ?").bind_all({slot++, id}).run();
      if (on_progress) on_progress(static_cast<uint64_t>(slot), items.size());
    }
    compacted.sync();
    sync_folder(impl_->folder);
    set_meta(database, "generation", std::to_string(generation + 1));
    set_meta(database, "next_slot", std::to_string(slot));
    set_meta(database, "ann", nullptr);
    database.execute("DELETE FROM contents WHERE hash NOT IN (SELECT hash FROM items)");
    transaction.commit();
    impl_->changed_here = true;
    impl_->remove_strays(generation + 1, "");
    database.execute("VACUUM");
  }
  update_index(on_progress);
}

std::vector<std::string> Collection::verify(const ProgressCallback& on_progress) {
  std::vector<std::string> problems;
  std::shared_ptr<const Snapshot> snapshot;
  try {
    snapshot = impl_->current();
  } catch (const Error& error) {
    problems.push_back(error.what());
  }
  {
    const std::lock_guard lock(impl_->mutex);
    SqliteStatement check = impl_->database.prepare("PRAGMA integrity_check");
    while (check.step()) {
      if (check.text(0) != "ok") problems.push_back("collection.db: " + check.text(0));
    }
  }
  if (!snapshot) return problems;
  if (!snapshot->ann_problem.empty()) problems.push_back(snapshot->ann_problem);
  for (size_t row = 0; row < snapshot->ids.size(); ++row) {
    if (on_progress) on_progress(row + 1, snapshot->ids.size());
    if (snapshot->ids[row] < 0) continue;
    const auto vector = snapshot->vectors->row(static_cast<int64_t>(row));
    const double norm = std::sqrt(exact_dot(vector, vector));
    if (!(std::abs(norm - 1) <= kNormTolerance)) {
      problems.push_back(
          fmt::format("item {}: its vector has length {}, expected 1", snapshot->ids[row], norm));
    }
  }
  return problems;
}

CollectionLock::CollectionLock(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path path = folder / kLockName;
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw FileError(path.native(), "cannot open", system_reason(errno));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    ::close(descriptor_);
    if (reason != EWOULDBLOCK) throw FileError(path.native(), "cannot lock", system_reason(reason));
    throw ConfigError(
        fmt::format("{}: another process is updating this collection", folder.native()));
  }
}

CollectionLock::~CollectionLock() { ::close(descriptor_); }

}  // namespace e5v
