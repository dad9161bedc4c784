#include "e5v/server/openapi.h"

#include <cctype>
#include <string>

#include "e5v/server/embedding_options.h"
#include "e5v/server/route.h"

namespace e5v::detail {
namespace {

/// What stands for $IMAGE in examples: a PNG of 4 x 4 pixels.
constexpr std::string_view kExampleImage =
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAAAAACMmsGiAAAAD0lEQVR42mMQsUnpYUAlAC70BQGjEbqZAAAAAElFTkSuQm"
    "CC";

/// Schemas that several addresses have in common.
constexpr std::string_view kSchemas = R"({
  "Image": {
    "type": "string",
    "description": "A data URL in base64, bare base64, or an http(s) URL of a host that the server may ask: JPEG, PNG, WebP, GIF or BMP"},
  "Encoding": {
    "type": "string", "enum": ["float", "base64", "int8", "uint8", "binary", "ubinary"],
    "description": "base64 is of float32, little-endian; binary and ubinary have a bit a dimension"},
  "Item": {
    "type": "object",
    "description": "A text, a picture, or both, which give one vector: of the picture changed by the text",
    "properties": {
      "text": {"type": "string"},
      "image": {"$ref": "#/components/schemas/Image"}}},
  "TextPart": {
    "type": "object", "required": ["type", "text"],
    "properties": {"type": {"type": "string", "const": "text"}, "text": {"type": "string"}}},
  "ImageUrlPart": {
    "type": "object", "required": ["type", "image_url"],
    "properties": {
      "type": {"type": "string", "const": "image_url"},
      "image_url": {"anyOf": [
        {"$ref": "#/components/schemas/Image"},
        {"type": "object", "required": ["url"],
         "properties": {"url": {"$ref": "#/components/schemas/Image"}}}]}}},
  "ImageBase64Part": {
    "type": "object", "required": ["type", "image_base64"],
    "properties": {
      "type": {"type": "string", "const": "image_base64"},
      "image_base64": {"$ref": "#/components/schemas/Image"}}},
  "ContentPart": {"anyOf": [
    {"$ref": "#/components/schemas/TextPart"},
    {"$ref": "#/components/schemas/ImageUrlPart"},
    {"$ref": "#/components/schemas/ImageBase64Part"}]},
  "PartsItem": {
    "type": "object", "required": ["content"],
    "description": "Parts that are one item together",
    "properties": {
      "content": {"type": "array", "items": {"$ref": "#/components/schemas/ContentPart"}}}},
  "Message": {
    "type": "object", "required": ["role"],
    "description": "Of the user: what is embedded. Of the system: the prompt's words. Of the assistant: nothing",
    "properties": {
      "role": {"type": "string", "enum": ["user", "system", "developer", "assistant"]},
      "content": {"anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"$ref": "#/components/schemas/ContentPart"}},
        {"type": "null"}]}}},
  "Embeddings": {
    "type": "object", "required": ["object", "data", "model", "usage"],
    "properties": {
      "object": {"type": "string", "const": "list"},
      "data": {"type": "array", "items": {
        "type": "object", "required": ["object", "index", "embedding"],
        "properties": {
          "object": {"type": "string", "const": "embedding"},
          "index": {"type": "integer", "description": "Of the item in the request"},
          "embedding": {
            "description": "Of length 1; a string where base64 was asked for",
            "anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}}}},
      "model": {"type": "string"},
      "usage": {
        "type": "object", "required": ["prompt_tokens", "total_tokens"],
        "properties": {
          "prompt_tokens": {"type": "integer"},
          "total_tokens": {"type": "integer"}}}}},
  "Model": {
    "type": "object", "required": ["id", "object", "created", "owned_by", "dimensions", "precision",
                                   "embedding_spec", "embedding_spec_hash"],
    "properties": {
      "id": {"type": "string"},
      "object": {"type": "string", "const": "model"},
      "created": {"type": "integer", "description": "When it was loaded, in seconds since 1970"},
      "owned_by": {"type": "string"},
      "dimensions": {"type": "integer"},
      "precision": {"type": "string", "description": "What it computes in"},
      "embedding_spec": {"type": "object", "additionalProperties": true,
        "description": "What vectors depend on, as collections keep it: digests of the files, precision, dimensions, prompts"},
      "embedding_spec_hash": {"type": "string", "description": "SHA-256 of it: servers of the same one give the same vectors"}}},
  "Error": {
    "type": "object", "required": ["error"],
    "properties": {
      "error": {
        "type": "object", "required": ["message", "type", "code"],
        "properties": {
          "message": {"type": "string"},
          "type": {"type": "string"},
          "param": {"type": "null"},
          "code": {"type": "string"}}}}}
})";

const Json& error_descriptions() {
  static const Json descriptions = Json::parse(R"({
  "400": "The request is wrong; the message says where",
  "401": "The API key is missing or wrong",
  "403": "A page of another site, or another host name",
  "404": "There is none of that name",
  "413": "The body is too long",
  "415": "The body is compressed or of several parts",
  "429": "Too many items are waiting; Retry-After says when to come again",
  "500": "Internal error, logged under the number in the message",
  "503": "The model is being loaded, or too many long requests are being served"
})");
  return descriptions;
}

/// "/v1/items/{id}/image" as "v1_items_id_image", for the names of generated functions.
std::string operation_id(std::string_view path) {
  std::string id;
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      id += c;
    } else if (!id.empty() && id.back() != '_' && c != '}') {
      id += '_';
    }
  }
  return id;
}

Json example_values(std::string_view examples) {
  std::string text(examples);
  constexpr std::string_view kPlace = "$IMAGE";
  for (size_t at = 0; (at = text.find(kPlace, at)) != std::string::npos;) {
    text.replace(at, kPlace.size(), kExampleImage);
  }
  const Json bodies = Json::parse(text);
  Json values = Json::object();
  for (const auto& [name, body] : bodies.items()) values[name] = {{"value", body}};
  return values;
}

Json request_body(const Route& route) {
  Json body = {{"schema", request_schema(route)}};
  if (!route.document.examples.empty()) body["examples"] = example_values(route.document.examples);
  return {{"required", true}, {"content", {{"application/json", std::move(body)}}}};
}

Json responses(const Route& route) {
  const RouteDocument& document = route.document;
  Json content = Json::object();
  Json& media = content[std::string(document.response_type)] = Json::object();
  if (!document.response.empty()) {
    media["schema"] = Json::parse(document.response);
  } else {
    media["schema"] = {{"type", "string"}};
    if (document.response_type.starts_with("image/")) media["schema"]["format"] = "binary";
  }
  Json responses = {{"200", {{"description", "As asked"}, {"content", content}}}};
  for (const auto& [status, unused] : error_descriptions().items()) {
    const bool is_of_body = status == "413" || status == "415" || status == "429";
    const bool is_always = status == "403";
    if (route.answer_always != nullptr && !is_always) continue;
    if (is_of_body && document.request.empty()) continue;
    if (status == "404" && document.parameter.empty()) continue;
    responses[status] = {{"$ref", "#/components/responses/" + status}};
  }
  if (!document.other_status.empty()) {
    responses[std::string(document.other_status)] = {{"description", "Not yet"},
                                                     {"content", content}};
  }
  return responses;
}

Json operation(const Route& route) {
  Json json = {{"summary", route.document.summary},
               {"operationId", operation_id(route.path)},
               {"responses", responses(route)}};
  if (route.is_open) json["security"] = Json::array();
  if (!route.document.request.empty()) json["requestBody"] = request_body(route);
  if (!route.document.parameter.empty()) {
    const size_t open = route.path.find('{');
    const auto name = route.path.substr(open + 1, route.path.find('}') - open - 1);
    json["parameters"] = Json::array({{{"name", name},
                                       {"in", "path"},
                                       {"required", true},
                                       {"schema", Json::parse(route.document.parameter)}}});
  }
  return json;
}

Json components() {
  Json responses = Json::object();
  for (const auto& [status, description] : error_descriptions().items()) {
    responses[status] = {
        {"description", description},
        {"content",
         {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
  }
  return {{"schemas", Json::parse(kSchemas)},
          {"responses", std::move(responses)},
          {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}};
}

}  // namespace

Json request_schema(const Route& route) {
  Json schema = Json::parse(route.document.request);
  if (route.embeddings != nullptr) schema["properties"].update(common_option_schemas());
  return schema;
}

Json openapi_document(std::span<const Route> routes) {
  Json paths = Json::object();
  for (const Route& route : routes) {
    const char* method = route.method == "GET" ? "get" : "post";
    paths[std::string(route.path)][method] = operation(route);
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "e5v"},
            {"version", "1"},
            {"description",
             "Embeddings of texts, pictures, and pictures changed by words; search in a collection "
             "of them."}}},
          {"paths", std::move(paths)},
          {"components", components()},
          {"security", {{{"key", Json::array()}}, Json::object()}}};
}

}  // namespace e5v::detail
