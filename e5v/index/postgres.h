#pragma once

#include <memory>
#include <string>

#include "e5v/base/progress.h"
#include "e5v/index/collection.h"
#include "e5v/index/search_target.h"

namespace e5v::detail {

/// True for postgresql:// and postgres://.
bool is_postgres_uri(const std::string& place);

/// Copies a collection into the tables `e5v_items` and `e5v_meta` of a database with pgvector,
/// which it makes; tables of an earlier export stay in use until the new ones are complete. Makes
/// an HNSW index over the vectors: over 16-bit copies from 2,001 dimensions on and over their signs
/// from 4,001 on, which is as far as pgvector goes. Returns the number of items. Throws FileError
/// for what the server reports.
int64_t export_to_postgres(Collection& collection, const std::string& uri,
                           const ProgressCallback& on_progress = nullptr);

/// An exported collection. Without a filter the HNSW index finds candidates, of which the exact
/// scores choose; with a filter every item that passes it is compared. One thread at a time.
class PostgresCollection : public SearchTarget {
 public:
  /// Throws FileError if the database cannot be reached or holds no collection.
  explicit PostgresCollection(const std::string& uri);
  ~PostgresCollection() override;

  const CollectionSettings& settings() const override;
  std::vector<SearchHit> search(const SearchQuery& query) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v::detail
