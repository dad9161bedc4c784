// Voyage's multimodal embeddings: inputs of several parts, each of which has a vector.
#include "e5v/base/error.h"
#include "e5v/server/embedding_answer.h"
#include "e5v/server/embedding_options.h"
#include "e5v/server/embedding_shape.h"
#include "e5v/server/wire_items.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kRequest = R"({
  "type": "object",
  "required": ["inputs"],
  "properties": {
    "inputs": {
      "type": "array", "minItems": 1, "maxItems": 2048,
      "items": {"anyOf": [{"$ref": "#/components/schemas/PartsItem"}, {"type": "string"},
                          {"$ref": "#/components/schemas/Item"}]}},
    "input_type": {"type": ["string", "null"], "description": "query or document: has no effect"},
    "output_dimension": {"type": ["integer", "null"], "minimum": 1,
                         "description": "Keep the first dimensions only"},
    "output_encoding": {"anyOf": [{"$ref": "#/components/schemas/Encoding"}, {"type": "null"}]},
    "truncation": {"type": "boolean", "default": true,
                   "description": "Cut texts that are too long; else they are an error"}
  }
})";

constexpr std::string_view kExamples = R"({
  "parts": {"inputs": [{"content": [{"type": "text", "text": "at night"},
                                    {"type": "image_base64", "image_base64": "$IMAGE"}]}]}
})";

EmbeddingRequest parse(const Json& body, const WireLimits& limits) {
  const RequestReader reader(body, limits);
  EmbeddingRequest request;
  parse_options(reader, /*truncate=*/true, request);
  reader.refuse_other_content({"inputs"});
  if (request.encodings.size() > 1) throw InputError("one encoding is expected, not several");
  request.items = parse_item_list(reader.require("inputs"), "inputs", limits);
  return request;
}

}  // namespace

EmbeddingShape voyage_shape() {
  return {
      .paths = {"/v1/multimodalembeddings"},
      .document = {.summary = "Embeddings of inputs with several parts each, as Voyage has them",
                   .request = kRequest,
                   .examples = kExamples,
                   .response = R"({"$ref": "#/components/schemas/Embeddings"})"},
      .parse = parse,
      .answer = openai_answer};
}

}  // namespace e5v::detail
