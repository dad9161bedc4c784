// What keeps a collection fast and sound: the approximate index, compacting, checks.
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/index/collection_impl.h"

namespace e5v::detail {

namespace fs = std::filesystem;

namespace {

/// Another name wherever the content is another, so that a file in use is never written over.
std::string index_file_name(const IndexOptions& options, int64_t generation, int64_t num_rows) {
  const std::string kind = options.kind == IndexKind::kHnswSq8
                               ? fmt::format("hnsw{}-{}", options.M, options.efConstruction)
                               : to_string(options.kind);
  return fmt::format("index-{}-{}-{}.faiss", generation, num_rows, kind);
}

}  // namespace

std::optional<IndexRecord> IndexRecord::read(const SqliteDatabase& database) {
  const SqlValue value = meta_value(database, "ann");
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return std::nullopt;
  const Json json = parse_json(*text, kDatabaseName);
  IndexRecord record{.file = require_field<std::string>(json, "file"),
                     .generation = require_field<int64_t>(json, "generation"),
                     .num_rows = require_field<int64_t>(json, "num_rows"),
                     .checksum = require_field<uint64_t>(json, "checksum")};
  record.built.kind = find_index_kind(require_field<std::string>(json, "kind"));
  record.built.read_parameters(json);
  return record;
}

std::string IndexRecord::text() const {
  Json json{{"file", file},
            {"kind", to_string(built.kind)},
            {"generation", generation},
            {"num_rows", num_rows},
            {"checksum", checksum}};
  json.update(built.parameters());
  return json.dump();
}

IndexOptions Collection::Impl::index_options() const {
  const std::string source = (folder / kDatabaseName).native();
  IndexOptions options;
  const SqlValue kind = meta_value(database, "index");
  const SqlValue parameters = meta_value(database, "index_parameters");
  try {
    if (const auto* name = std::get_if<std::string>(&kind)) options.kind = find_index_kind(*name);
    // Collections of earlier versions have none.
    if (const auto* text = std::get_if<std::string>(&parameters)) {
      options.read_parameters(parse_json(*text, source));
    }
  } catch (const ConfigError& error) {
    throw FormatError(source, error.what());
  }
  return options;
}

void set_index_options(const SqliteDatabase& database, const IndexOptions& options) {
  set_meta(database, "index", std::string(to_string(options.kind)));
  set_meta(database, "index_parameters", options.parameters().dump());
}

void Collection::choose_index(const IndexOptions& options) {
  options.validate();
  const std::lock_guard lock(impl_->mutex);
  SqliteTransaction transaction(impl_->database, SqliteTransaction::Kind::kWrite);
  set_index_options(impl_->database, options);
  transaction.commit();
  impl_->changed_here = true;
}

void Collection::Impl::remove_strays(int64_t generation, const std::string& index_file) const {
  const std::string vectors = vectors_path(folder, generation).filename().native();
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().native();
    const bool stray_vectors = name.starts_with("vectors-") && name != vectors;
    const bool stray_index = name.starts_with("index-") && name != index_file;
    std::error_code ignored;
    if (stray_vectors || stray_index) fs::remove(entry.path(), ignored);
  }
}

void Collection::update_index(const ProgressCallback& on_progress) {
  const auto snapshot = impl_->current();
  IndexOptions options = snapshot->index_options;
  options.kind = resolve(options.kind, snapshot->num_items);
  const auto num_rows = static_cast<int64_t>(snapshot->ids.size());
  const auto record = [&] {
    const std::lock_guard lock(impl_->mutex);
    return IndexRecord::read(impl_->database);
  }();
  const bool usable =
      record && record->built.builds_as(options) && record->generation == snapshot->generation;
  if (usable && record->num_rows == num_rows) return;

  std::optional<IndexRecord> made;
  if (options.kind != IndexKind::kFlat && num_rows > 0) {
    const auto report = [&](int64_t done, int64_t total) {
      if (on_progress) on_progress(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
    };
    const int64_t first = usable ? record->num_rows : 0;
    const std::span<const float> rows(snapshot->vectors->data() + first * impl_->dimensions,
                                      static_cast<size_t>((num_rows - first) * impl_->dimensions));
    std::optional<FaissIndex> index;
    if (usable) {
      index = FaissIndex::load(impl_->folder / record->file, record->checksum, impl_->dimensions);
      index->add(rows, report);
    } else {
      index = FaissIndex::build(options, impl_->dimensions, rows, report);
    }
    made = IndexRecord{.file = index_file_name(options, snapshot->generation, num_rows),
                       .built = options,
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
    const auto record = IndexRecord::read(database);
    impl_->remove_strays(generation, record ? record->file : "");
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
  if (!snapshot->index_problem.empty()) problems.push_back(snapshot->index_problem);
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

}  // namespace e5v::detail
