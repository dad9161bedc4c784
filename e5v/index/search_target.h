#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/index/index_options.h"

namespace e5v::detail {

/// What a vector in a collection stands for.
struct CollectionItem {
  int64_t id = 0;    ///< of the collection's own counting, from 1; never given twice
  std::string kind;  ///< "image", "text", or "composed": both in one vector
  std::string path;  ///< of an indexed file, absolute; a document's own name; unique
  std::string text;  ///< of a text or composed item
  std::string caption;
  Json metadata = Json::object();
  int64_t size = 0;      ///< bytes of the file
  int64_t mtime_ns = 0;  ///< of the file, since 1970; 0 = it is not a file
  std::string hash;      ///< SHA-256 of the content, hexadecimal

  friend bool operator==(const CollectionItem&, const CollectionItem&) = default;
};

struct SearchQuery {
  /// Of unit length.
  std::vector<float> vector;
  int64_t k = 10;
  double min_score = -std::numeric_limits<double>::infinity();
  /// A filter (filter.h); empty = none.
  std::string where;
};

struct SearchHit {
  CollectionItem item;
  double score = 0;  ///< cosine
};

/// What a collection is made with, and keeps.
struct CollectionSettings {
  int64_t dimensions = 0;
  /// What the vectors depend on, as whoever embeds writes it; kept as it is.
  Json fingerprint = Json::object();
  /// How the model was loaded, for later runs that do not say it: "model", "adapter", …
  Json embedder = Json::object();
  IndexOptions index;
};

/// What can be searched: a Collection, or a table in PostgreSQL.
class SearchTarget {
 public:
  virtual ~SearchTarget() = default;

  virtual const CollectionSettings& settings() const = 0;
  /// Throws InputError unless `where` is a filter (filter.h) or empty.
  void check_filter(const std::string& where) const;
  /// Best first, of equal scores the smaller id. Throws InputError: the filter, the vector's
  /// length.
  virtual std::vector<SearchHit> search(const SearchQuery& query) = 0;
};

/// Opens a collection's folder, or an exported one at postgresql://….
std::unique_ptr<SearchTarget> open_search_target(const std::string& place);

}  // namespace e5v::detail
