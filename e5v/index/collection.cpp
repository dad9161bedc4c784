#include "e5v/index/collection.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/index/collection_impl.h"

namespace e5v::detail {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLockName = "lock";
constexpr uint64_t kMaxPictureBytes = UINT64_C(256) << 20;
constexpr int64_t kFormatVersion = 1;
constexpr int64_t kApplicationId = 0x65357663;  // "e5vc"

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

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

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

int64_t Collection::Impl::integer_meta(const char* key) const {
  const SqlValue value = meta_value(database, key);
  const auto* text = std::get_if<std::string>(&value);
  try {
    if (text != nullptr) return std::stoll(*text);
  } catch (const std::exception&) {  // reported below
  }
  throw FormatError((folder / kDatabaseName).native(),
                    fmt::format("'{}' is missing or not a number", key));
}

Json Collection::Impl::json_meta(const char* key) const {
  const SqlValue value = meta_value(database, key);
  const auto* text = std::get_if<std::string>(&value);
  const std::string source = (folder / kDatabaseName).native();
  if (text == nullptr) throw FormatError(source, fmt::format("'{}' is missing", key));
  return parse_json(*text, source);
}

void Collection::create(const fs::path& folder, const CollectionSettings& settings) {
  const int64_t dimensions = settings.dimensions;
  if (dimensions < 1) {
    throw ConfigError(fmt::format("a collection of {} dimensions cannot be", dimensions));
  }
  settings.index.validate();
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
    set_index_options(database, settings.index);
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
  info.settings.index = impl_->index_options();
  if (const auto record = IndexRecord::read(impl_->database)) info.num_indexed = record->num_rows;
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

std::vector<std::byte> Collection::find_picture(const CollectionItem& item) {
  std::optional<std::string> bytes = find_content(item.hash);
  if (!bytes) {
    if (item.mtime_ns == 0 || item.kind != "image") return {};
    try {
      bytes = read_file(item.path, kMaxPictureBytes);
    } catch (const FileError&) {  // gone since it was indexed
      return {};
    }
  }
  const auto* begin = reinterpret_cast<const std::byte*>(bytes->data());
  return {begin, begin + bytes->size()};
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

}  // namespace e5v::detail
