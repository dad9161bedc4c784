// Cohere's embed: texts, images, or inputs of both, answered by type of encoding.
#include "e5v/base/error.h"
#include "e5v/server/embedding_answer.h"
#include "e5v/server/embedding_options.h"
#include "e5v/server/embedding_shape.h"
#include "e5v/server/wire_items.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kRequest = R"({
  "type": "object",
  "description": "One of texts, images and inputs",
  "properties": {
    "texts": {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string"}},
    "images": {"type": "array", "minItems": 1, "maxItems": 2048,
               "items": {"$ref": "#/components/schemas/Image"}},
    "inputs": {"type": "array", "minItems": 1, "maxItems": 2048,
               "items": {"$ref": "#/components/schemas/PartsItem"}},
    "input_type": {"type": "string", "description": "search_query or another: has no effect"},
    "embedding_types": {"type": "array", "minItems": 1, "maxItems": 6,
                        "items": {"$ref": "#/components/schemas/Encoding"}},
    "output_dimension": {"type": "integer", "minimum": 1,
                         "description": "Keep the first dimensions only"},
    "truncate": {"type": "string", "enum": ["END", "NONE"], "default": "END",
                 "description": "END cuts texts that are too long; with NONE they are an error"}
  }
})";

constexpr std::string_view kExamples = R"({
  "texts": {"texts": ["a dog"], "input_type": "search_query",
            "embedding_types": ["float", "int8", "ubinary", "base64"]},
  "images": {"model": "e5v", "images": ["$IMAGE"], "input_type": "image"},
  "parts": {"inputs": [{"content": [{"type": "text", "text": "at night"},
                                    {"type": "image_url", "image_url": {"url": "$IMAGE"}}]}]}
})";

constexpr std::string_view kResponse = R"({
  "type": "object",
  "required": ["id", "response_type", "embeddings", "texts", "meta"],
  "properties": {
    "id": {"type": "string"},
    "response_type": {"const": "embeddings_by_type", "type": "string"},
    "embeddings": {
      "type": "object",
      "properties": {
        "float": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "int8": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "uint8": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "binary": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "ubinary": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "base64": {"type": "array", "items": {"type": "string"}}}},
    "texts": {"type": "array", "items": {"type": "string"}},
    "meta": {
      "type": "object",
      "required": ["api_version", "billed_units"],
      "properties": {
        "api_version": {"type": "object", "required": ["version"],
                        "properties": {"version": {"type": "string"}}},
        "billed_units": {"type": "object", "required": ["input_tokens"],
                         "properties": {"input_tokens": {"type": "integer"}}}}}
  }
})";

std::vector<WireItem> parse_contents(const RequestReader& reader) {
  std::vector<WireItem> items;
  size_t num_fields = 0;
  for (const char* field : {"texts", "images", "inputs"}) {
    const Json* values = reader.find(field);
    if (values == nullptr) continue;
    ++num_fields;
    if (!values->is_array()) refuse_field(field, "a list", *values);
    check_item_count(values->size(), field, reader.limits());
    for (size_t i = 0; i < values->size(); ++i) {
      const std::string name = fmt::format("{}[{}]", field, i);
      const Json& value = (*values)[i];
      if (std::string_view(field) == "inputs") {
        items.push_back(parse_item(value, name, reader.limits()));
      } else if (std::string_view(field) == "texts") {
        items.emplace_back().text = parse_text(value, name, reader.limits());
      } else {
        items.push_back(parse_image_item(value, name, reader.limits()));
      }
    }
  }
  if (num_fields != 1) throw InputError("one of 'texts', 'images' and 'inputs' is expected");
  return items;
}

EmbeddingRequest parse(const Json& body, const WireLimits& limits) {
  const RequestReader reader(body, limits);
  EmbeddingRequest request;
  parse_options(reader, /*truncate=*/true, request);
  reader.refuse_other_content({"texts", "images", "inputs"});
  request.items = parse_contents(reader);
  return request;
}

Json answer(const EmbeddingRequest& request, const EmbeddingResult& result) {
  Json embeddings = Json::object();
  for (const WireEncoding encoding : request.encodings) {
    Json& list = embeddings[std::string(encoding_name(encoding))] = Json::array();
    for (const auto& vector : result.vectors) list.push_back(encoded_vector(vector, encoding));
  }
  Json texts = Json::array();
  for (const WireItem& item : request.items) {
    if (item.text && item.images.empty()) texts.push_back(*item.text);
  }
  return {{"id", result.id},
          {"response_type", "embeddings_by_type"},
          {"embeddings", std::move(embeddings)},
          {"texts", std::move(texts)},
          {"meta",
           {{"api_version", {{"version", "2"}}},
            {"billed_units", {{"input_tokens", result.num_tokens}}}}}};
}

}  // namespace

EmbeddingShape cohere_shape() {
  return {.paths = {"/v2/embed"},
          .document = {.summary = "Embeddings by type of encoding, as Cohere has them",
                       .request = kRequest,
                       .examples = kExamples,
                       .response = kResponse},
          .parse = parse,
          .answer = answer};
}

}  // namespace e5v::detail
