#include "e5v/search/query.h"

#include <cmath>

#include "e5v/base/error.h"

namespace e5v::detail {

void search_by_item(QueryItem& query, int64_t id, Collection& collection) {
  if (query.image) throw InputError("'image' and 'item' are given, expected one of them");
  const auto item = collection.find_item(id);
  if (!item) throw InputError(fmt::format("there is no item {}", id));
  if (!query.text) {
    query.vector = collection.find_vector(id);
    // Another process may have removed it just now.
    if (query.vector.empty()) throw InputError(fmt::format("there is no item {}", id));
    return;
  }
  std::vector<std::byte> picture = collection.find_picture(*item);
  if (picture.empty()) {
    throw InputError(fmt::format("the picture of item {} is not there any more", id));
  }
  query.image = std::move(picture);
}

std::vector<Item> query_items(const QueryItem& query, const PrepareOptions& options) {
  const std::string task = options.prompt.empty() ? query_task(options.task) : "";
  std::vector<Item> items;
  if (query.vector.empty()) {
    if (!query.text && !query.image) {
      throw InputError("nothing to search for: neither a text nor a picture is given");
    }
    Item& main = items.emplace_back();
    main.text = query.text;
    if (query.image) main.images.push_back(*query.image);
    const bool is_composed = query.text && query.image && !task.empty();
    main.task = is_composed ? composed_task(options.task) : task;
  }
  for (const auto* texts : {&query.plus, &query.minus}) {
    for (const std::string& text : *texts) {
      Item& item = items.emplace_back();
      item.text = text;
      item.task = task;
    }
  }
  return items;
}

std::vector<float> combine_query(const QueryItem& query, std::vector<std::vector<float>> vectors) {
  if (!query.vector.empty()) vectors.insert(vectors.begin(), query.vector);
  E5V_ASSERT(vectors.size() == 1 + query.plus.size() + query.minus.size());
  if (!std::isfinite(query.weight)) throw InputError("the weight is not a finite number");
  if (vectors.size() == 1 && query.weight > 0) return vectors[0];
  std::vector<double> sum(vectors[0].size());
  for (size_t i = 0; i < vectors.size(); ++i) {
    const double weight = i == 0 ? query.weight : i <= query.plus.size() ? 1 : -1;
    for (size_t d = 0; d < sum.size(); ++d) sum[d] += weight * vectors[i][d];
  }
  double squares = 0;
  for (const double value : sum) squares += value * value;
  const double norm = std::sqrt(squares);
  if (!(norm > 1e-6)) throw InputError("what is added and what is taken away cancel out");
  std::vector<float> combined;
  for (const double value : sum) combined.push_back(static_cast<float>(value / norm));
  return combined;
}

}  // namespace e5v::detail
