// Additions to the collection, and removals.
#include "e5v/base/error.h"
#include "e5v/server/request_reader.h"
#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kRequest = R"({
  "type": "object",
  "properties": {
    "documents": {"type": "array", "maxItems": 2048, "items": {
      "type": "object",
      "description": "A text, a picture, or both together as one item",
      "required": ["id"],
      "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 1000,
               "description": "Names it; one of the same id is replaced. Does not begin with /"},
        "text": {"type": "string"},
        "image": {"$ref": "#/components/schemas/Image"},
        "caption": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": true}}}},
    "delete": {"type": "array", "items": {"type": "integer"},
               "description": "Ids of items as results name them"}
  }
})";

constexpr std::string_view kExamples = R"({
  "text": {"documents": [{"id": "note 1", "text": "a dog", "metadata": {"year": 2024}}]},
  "picture": {"documents": [{"id": "a.png", "image": "$IMAGE", "caption": "gray"}]},
  "removal": {"delete": [7]}
})";

constexpr std::string_view kResponse = R"({
  "type": "object",
  "required": ["added", "removed", "items"],
  "properties": {
    "added": {"type": "integer"},
    "removed": {"type": "integer"},
    "items": {"type": "integer", "description": "Now in the collection"}
  }
})";

/// One document, all but its vector.
struct Document {
  NewItem added;
  Item item;
};

Document parse_document(const Json& json, const std::string& place, const Json& schema,
                        const Serving& serving) {
  const RequestReader reader(json, serving.limits, place);
  reader.refuse_unknown(schema);
  Document document;
  CollectionItem& added = document.added.item;
  reader.require("id");
  added.path = reader.string_or_empty("id");
  if (added.path.empty() || added.path.size() > 1000 || added.path.starts_with('/')) {
    throw InputError(fmt::format("'{}.id' is empty, too long, or begins with '/'", place));
  }
  added.caption = reader.string_or_empty("caption");
  if (const Json* metadata = reader.find("metadata")) {
    if (!metadata->is_object()) refuse_field(place + ".metadata", "an object", *metadata);
    added.metadata = *metadata;
  } else {
    added.metadata = Json::object();
  }
  document.item.text = reader.string("text");
  added.text = document.item.text.value_or("");
  std::string content = added.text;
  if (const auto image = reader.string("image")) {
    const auto bytes = serving.image_bytes(parse_image(*image, place + ".image", serving.limits));
    document.added.content.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    content += document.added.content;
    document.item.images.emplace_back(bytes);
  }
  added.kind = document.item.images.empty() ? "text" : document.item.text ? "composed" : "image";
  if (added.kind == "composed" && serving.prepare.prompt.empty()) {
    document.item.task = composed_task(serving.prepare.task);
  }
  added.size = static_cast<int64_t>(content.size());
  // The content's own digest would be that of a file with the same bytes; a pair has another.
  added.hash = sha256(added.kind == "image" ? content : added.kind + "\n" + content);
  return document;
}

HttpAnswer index(const RouteCall& call, Serving& serving) {
  Collection& collection = serving.require_collection();
  const Json body = parse_body(call.http);
  const RequestReader reader(body, serving.limits);
  const Json schema = request_schema(call.route);
  reader.refuse_unknown(schema);
  const Json* documents = reader.find("documents");
  const size_t num_documents = documents == nullptr ? 0 : documents->size();
  if (documents != nullptr &&
      (!documents->is_array() || num_documents > serving.limits.max_items)) {
    throw InputError(
        fmt::format("'documents' is not a list of at most {}", serving.limits.max_items));
  }
  CollectionChanges changes{.removed = reader.integers("delete")};
  std::vector<Item> items;
  for (size_t i = 0; i < num_documents; ++i) {
    Document document =
        parse_document((*documents)[i], fmt::format("documents[{}]", i),
                       schema.at("properties").at("documents").at("items"), serving);
    changes.added.push_back(std::move(document.added));
    items.push_back(std::move(document.item));
  }
  if (!items.empty()) {
    const EmbeddedItems embedded = serving.embed(items, serving.prepare, call.http);
    for (size_t i = 0; i < items.size(); ++i) changes.added[i].vector = embedded.vectors[i];
  }
  collection.apply(changes);
  return json_answer({{"added", items.size()},
                      {"removed", changes.removed.size()},
                      {"items", collection.info().num_items}});
}

}  // namespace

std::vector<Route> index_routes() {
  return {{.path = "/v1/index",
           .document = {.summary = "Add documents to the collection, or remove items",
                        .request = kRequest,
                        .examples = kExamples,
                        .response = kResponse},
           .answer = index}};
}

}  // namespace e5v::detail
