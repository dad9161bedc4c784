#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "e5v/embed/prepare.h"
#include "e5v/index/collection.h"

namespace e5v::detail {

/// What is searched for: a text, a picture, a picture changed by the text, or a known vector; and
/// texts that it should be more or less like.
struct QueryItem {
  std::optional<std::string> text;
  std::optional<ImageSource> image;
  /// Stands for text and picture, and need not be embedded; empty = none.
  std::vector<float> vector;
  std::vector<std::string> plus;
  std::vector<std::string> minus;
  /// Of text and picture, against 1 for each of the others.
  double weight = 1;
};

/// Makes `query` ask for what is like the item `id` of `collection`: by its vector or, where the
/// query has a text, by its picture changed by the text. Throws InputError if the query has a
/// picture already, there is no such item, or its picture is gone.
void search_by_item(QueryItem& query, int64_t id, Collection& collection);

/// The items to embed for a query: first text and picture, unless it has a vector, then `plus`,
/// then `minus`; none for a vector alone. A picture with a text is asked about by composed_task's
/// prompt, others by query_task's, unless `options` has a whole template. Throws InputError if
/// there is neither text nor picture nor vector.
std::vector<Item> query_items(const QueryItem& query, const PrepareOptions& options);

/// The query's vector, of those of query_items: weight · v₀ + Σ plus − Σ minus, of unit length.
/// Throws InputError if they cancel out.
std::vector<float> combine_query(const QueryItem& query, std::vector<std::vector<float>> vectors);

}  // namespace e5v::detail
