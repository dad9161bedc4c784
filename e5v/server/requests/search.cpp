// Search in the collection.
#include <algorithm>
#include <chrono>

#include "e5v/base/error.h"
#include "e5v/index/export.h"  // item_json
#include "e5v/search/collection_embedder.h"
#include "e5v/search/query.h"
#include "e5v/server/request_reader.h"
#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

constexpr int64_t kMaxResults = 1000;

constexpr std::string_view kRequest = R"({
  "type": "object",
  "description": "What is searched for: text, image, both together, or item, with text or without",
  "properties": {
    "text": {"type": "string"},
    "image": {"$ref": "#/components/schemas/Image"},
    "item": {"type": "integer", "minimum": 1, "description": "The id of a result"},
    "k": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
    "min_score": {"type": "number", "default": -1},
    "where": {"type": "string", "description": "A filter, such as: kind = 'image' AND meta.year >= 2020"},
    "plus": {"type": "array", "maxItems": 16, "items": {"type": "string"},
             "description": "Texts that the results should be more like"},
    "minus": {"type": "array", "maxItems": 16, "items": {"type": "string"},
              "description": "And less like"},
    "weight": {"type": "number", "default": 1,
               "description": "Of text and picture, against 1 for each of plus and minus"}
  }
})";

constexpr std::string_view kExamples = R"({
  "text": {"text": "a dog", "k": 5, "where": "kind = 'image' OR meta.year >= 2020"},
  "picture_changed_by_words": {"image": "$IMAGE", "text": "at night", "min_score": 0.1},
  "more_and_less": {"text": "a dog", "plus": ["snow"], "minus": ["people"], "weight": 2}
})";

constexpr std::string_view kResponse = R"({
  "type": "object",
  "required": ["results", "took_ms"],
  "properties": {
    "results": {"type": "array", "description": "Best first", "items": {
      "type": "object",
      "required": ["id", "score", "kind", "path", "text", "caption", "metadata", "size", "mtime", "sha256"],
      "properties": {
        "id": {"type": "integer"},
        "score": {"type": "number", "description": "Cosine"},
        "kind": {"type": "string", "enum": ["image", "text", "composed"]},
        "path": {"type": "string", "description": "Of the file, or the id with which it was added"},
        "text": {"type": "string"},
        "caption": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": true},
        "size": {"type": "integer", "description": "In bytes"},
        "mtime": {"type": "number", "description": "Seconds since 1970; 0 = it is no file"},
        "sha256": {"type": "string"},
        "image": {"type": "string", "description": "Address of its picture, if it has one"}}}},
    "took_ms": {"type": "number"}
  }
})";

Json hit_json(const SearchHit& hit) {
  Json json = item_json(hit.item);
  json["score"] = hit.score;
  if (hit.item.kind != "text") json["image"] = fmt::format("/v1/items/{}/image", hit.item.id);
  return json;
}

SearchQuery parse_wanted(const RequestReader& reader, const Collection& collection) {
  SearchQuery wanted{.k = reader.integer("k", 1, kMaxResults).value_or(10),
                     .min_score = reader.number("min_score", -1),
                     .where = reader.string_or_empty("where")};
  collection.check_filter(wanted.where);
  return wanted;
}

QueryItem parse_query(const RequestReader& reader, const Serving& serving) {
  QueryItem query{.plus = reader.strings("plus"),
                  .minus = reader.strings("minus"),
                  .weight = reader.number("weight", 1)};
  if (query.plus.size() + query.minus.size() > 16) {
    throw InputError("'plus' and 'minus' have more than 16 texts");
  }
  query.text = reader.string("text");
  if (query.text && query.text->empty()) query.text.reset();
  if (const auto image = reader.string("image")) {
    query.image = serving.image_bytes(parse_image(*image, "image", serving.limits));
  }
  return query;
}

HttpAnswer search(const RouteCall& call, Serving& serving) {
  const auto started = std::chrono::steady_clock::now();
  Collection& collection = serving.require_collection();
  const Json body = parse_body(call.http);
  const RequestReader reader(body, serving.limits);
  reader.refuse_unknown(request_schema(call.route));
  SearchQuery wanted = parse_wanted(reader, collection);
  QueryItem query = parse_query(reader, serving);
  if (const auto item_id = reader.integer("item", 1)) search_by_item(query, *item_id, collection);
  const std::vector<Item> items = query_items(query, serving.prepare);
  std::vector<std::vector<float>> vectors;
  if (!items.empty()) vectors = serving.embed(items, serving.prepare, call.http).vectors;
  wanted.vector = combine_query(query, std::move(vectors));
  Json results = Json::array();
  for (const SearchHit& hit : collection.search(wanted)) results.push_back(hit_json(hit));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
  return json_answer({{"results", std::move(results)}, {"took_ms", took.count()}});
}

}  // namespace

std::vector<Route> search_routes() {
  return {{.path = "/v1/search",
           .document = {.summary = "Search the collection",
                        .request = kRequest,
                        .examples = kExamples,
                        .response = kResponse},
           .answer = search}};
}

}  // namespace e5v::detail
