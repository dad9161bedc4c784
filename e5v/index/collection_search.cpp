// Snapshots of a collection, and searches in them.
#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/index/collection_impl.h"
#include "e5v/index/filter.h"

namespace e5v::detail {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMaxResults = 100'000;

}  // namespace

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
    load_index(*fresh);
  }
  if (quantize) extend_quantized(*fresh);
  return fresh;
}

void Collection::Impl::load_index(Snapshot& fresh) const {
  fresh.index_options = index_options();
  const auto record = IndexRecord::read(database);
  if (!record || record->generation != fresh.generation) return;
  fresh.index_file = record->file;
  if (snapshot && snapshot->index && snapshot->index_file == record->file) {
    fresh.index = snapshot->index;
    return;
  }
  const fs::path name = record->file;
  if (name != name.filename()) {
    throw FormatError((folder / kDatabaseName).native(), "the index is outside the collection");
  }
  try {
    fresh.index =
        std::make_shared<FaissIndex>(FaissIndex::load(folder / name, record->checksum, dimensions));
  } catch (const Error& error) {
    // The index is only a short cut: without it every vector is compared.
    fresh.index_problem = error.what();
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
  auto quantized = fresh.quantized ? std::make_shared<QuantizedVectors>(*fresh.quantized)
                                   : std::make_shared<QuantizedVectors>(dimensions);
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
  const int64_t num_indexed = snapshot.index->num_rows();
  const auto num_rows = static_cast<int64_t>(snapshot.ids.size());
  const int64_t wanted = std::min(query.k, snapshot.num_items);
  // More than asked for: the exact scores below choose among them, and some may be of no item.
  for (int64_t count = 4 * wanted + 50;; count *= 4) {
    std::vector<int64_t> rows = snapshot.index->search(query.vector, count, snapshot.index_options);
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
  if (!allowed && snapshot.index) return search_approximately(snapshot, query);
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

}  // namespace e5v::detail
