#pragma once

#include <optional>
#include <string>
#include <vector>

#include "e5v/embed/prepare.h"

namespace e5v {

/// What is searched for: a text, a picture, or a picture changed by the text, and texts that it
/// should be more or less like.
struct QueryItem {
  std::optional<std::string> text;
  std::optional<ImageSource> image;
  std::vector<std::string> plus;
  std::vector<std::string> minus;
  /// Of text and picture, against 1 for each of the others.
  double weight = 1;
};

/// The items to embed for a query: first text and picture, then `plus`, then `minus`. A picture
/// with a text is asked about by composed_task's prompt, unless `options` has a whole template.
/// Throws InputError if there is neither text nor picture.
std::vector<Item> query_items(const QueryItem& query, const PrepareOptions& options);

/// The query's vector of those of query_items: weight · v₀ + Σ plus − Σ minus, of unit length.
/// Throws InputError if they cancel out.
std::vector<float> combine_query(const QueryItem& query,
                                 const std::vector<std::vector<float>>& vectors);

}  // namespace e5v
