#include "e5v/index/export.h"

#include "e5v/base/file.h"
#include "e5v/base/npy.h"

namespace e5v::detail {

Json item_json(const CollectionItem& item) {
  return {{"id", item.id},           {"kind", item.kind},
          {"path", item.path},       {"text", item.text},
          {"caption", item.caption}, {"metadata", item.metadata},
          {"size", item.size},       {"mtime", static_cast<double>(item.mtime_ns) / 1e9},
          {"sha256", item.hash}};
}

std::string shown_target(const std::string& to) {
  const size_t scheme = to.find("://");
  const size_t at = to.rfind('@');
  if (scheme == std::string::npos || at == std::string::npos) return to;
  const size_t colon = to.find(':', scheme + 3);
  return colon < at ? to.substr(0, colon) + to.substr(at) : to;
}

int64_t export_collection(Collection& collection, const std::string& to,
                          const ProgressCallback& on_progress) {
  std::vector<CollectionItem> items;
  collection.for_each_item([&](const CollectionItem& item) { items.push_back(item); });
  NpyWriter vectors(to + ".npy", NpyType::kFloat32, {collection.settings().dimensions});
  AtomicFile lines(to + ".jsonl");
  for (const CollectionItem& item : items) {
    const std::vector<float> vector = collection.find_vector(item.id);
    if (vector.empty()) continue;  // removed meanwhile
    vectors.append(std::span<const float>(vector));
    lines.write(item_json(item).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    if (on_progress) on_progress(static_cast<uint64_t>(vectors.num_rows()), items.size());
  }
  const int64_t num_rows = vectors.num_rows();
  vectors.commit();
  lines.commit();
  return num_rows;
}

}  // namespace e5v::detail
