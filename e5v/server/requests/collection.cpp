// What the collection is.
#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kResponse = R"({
  "type": "object",
  "required": ["items", "skipped", "dimensions", "index"],
  "properties": {
    "items": {"type": "integer"},
    "skipped": {"type": "integer", "description": "Files that could not be embedded"},
    "dimensions": {"type": "integer"},
    "index": {"type": "string"}
  }
})";

HttpAnswer collection(const RouteCall&, Serving& serving) {
  const CollectionInfo info = serving.require_collection().info();
  return json_answer({{"items", info.num_items},
                      {"skipped", info.num_skipped},
                      {"dimensions", info.settings.dimensions},
                      {"index", to_string(info.settings.index.kind)}});
}

}  // namespace

std::vector<Route> collection_routes() {
  return {{.method = "GET",
           .path = "/v1/collection",
           .document = {.summary = "The collection", .response = kResponse},
           .answer = collection}};
}

}  // namespace e5v::detail
