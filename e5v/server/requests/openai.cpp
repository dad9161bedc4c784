// OpenAI's embeddings, and what others take at the same address: Jina's, SGLang's and Xinference's
// items, vLLM's messages, Infinity's modality.
#include "e5v/base/error.h"
#include "e5v/server/embedding_answer.h"
#include "e5v/server/embedding_options.h"
#include "e5v/server/embedding_shape.h"
#include "e5v/server/wire_items.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kRequest = R"({
  "type": "object",
  "properties": {
    "input": {
      "description": "A text, token ids, or a list of texts, token ids and items, each of which has a vector. Content parts, or messages, in a list are one item together",
      "anyOf": [
        {"type": "string"},
        {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
        {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"anyOf": [
          {"type": "string"},
          {"type": "array", "items": {"type": "integer", "minimum": 0}},
          {"$ref": "#/components/schemas/Item"},
          {"$ref": "#/components/schemas/ContentPart"},
          {"$ref": "#/components/schemas/Message"}]}}]},
    "messages": {
      "description": "In place of input: a conversation, which is one item, or a list of conversations",
      "anyOf": [
        {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Message"}},
        {"type": "array", "minItems": 1, "items": {
          "type": "array", "items": {"$ref": "#/components/schemas/Message"}}}]},
    "modality": {"type": "string", "enum": ["text", "image"], "default": "text",
                 "description": "What the strings of input are"},
    "dimensions": {"type": "integer", "minimum": 1, "description": "Keep the first ones only"},
    "encoding_format": {"$ref": "#/components/schemas/Encoding"},
    "truncate": {"type": "boolean", "default": false,
                 "description": "Cut texts that are too long; else they are an error"}
  }
})";

constexpr std::string_view kExamples = R"({
  "texts": {"input": ["a dog", "a cat"], "dimensions": 8},
  "text_as_base64": {"model": "e5v", "input": "a dog", "encoding_format": "base64"},
  "token_ids": {"input": [1, 4, 9]},
  "items": {"input": [{"text": "a dog"}, {"image": "$IMAGE"}, {"text": "at night", "image": "$IMAGE"}]},
  "messages": {"messages": [{"role": "user", "content": [
    {"type": "image_url", "image_url": {"url": "$IMAGE"}}, {"type": "text", "text": "at night"}]}]},
  "pictures": {"modality": "image", "input": ["$IMAGE"]}
})";

bool is_nothing(const Json* input) {
  return input == nullptr || *input == "" || *input == Json::array();
}

void parse_messages(const Json& messages, const std::string& field, const WireLimits& limits,
                    EmbeddingRequest& request) {
  WireConversations conversations = parse_conversations(messages, field, limits);
  request.items = std::move(conversations.items);
  if (request.instruction.empty()) request.instruction = std::move(conversations.system);
}

std::vector<WireItem> parse_pictures(const Json& input, const WireLimits& limits) {
  const Json alone = input.is_array() ? Json() : Json::array({input});
  const Json& images = input.is_array() ? input : alone;
  check_item_count(images.size(), "input", limits);
  std::vector<WireItem> items;
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string field = fmt::format("input[{}]", i);
    const bool is_url = images[i].is_string();
    items.push_back(is_url ? parse_image_item(images[i], field, limits)
                           : parse_item(images[i], field, limits));
    if (items.back().images.empty()) refuse_field(field, "a picture", images[i]);
  }
  return items;
}

EmbeddingRequest parse(const Json& body, const WireLimits& limits) {
  const RequestReader reader(body, limits);
  EmbeddingRequest request;
  parse_options(reader, /*truncate=*/false, request);
  reader.refuse_other_content({"input", "messages"});
  if (request.encodings.size() > 1) throw InputError("one encoding is expected, not several");
  const std::string modality = reader.string_or_empty("modality");
  if (!modality.empty() && modality != "text" && modality != "image") {
    throw InputError(
        fmt::format("'modality' is '{}', expected text or image", printable(modality, 40)));
  }
  if (const Json* messages = reader.find("messages")) {
    if (!is_nothing(reader.find("input"))) {
      throw InputError("'input' and 'messages' are given, expected one of them");
    }
    parse_messages(*messages, "messages", limits, request);
    return request;
  }
  const Json& input = reader.require("input");
  if (modality == "image") {
    request.items = parse_pictures(input, limits);
  } else if (is_conversation(input)) {
    parse_messages(input, "input", limits, request);
  } else {
    request.items = parse_items(input, "input", limits);
  }
  return request;
}

}  // namespace

EmbeddingShape openai_shape() {
  return {.paths = {"/v1/embeddings", "/embeddings"},
          .document = {.summary = "Embeddings of texts, pictures, and both together",
                       .request = kRequest,
                       .examples = kExamples,
                       .response = R"({"$ref": "#/components/schemas/Embeddings"})"},
          .parse = parse,
          .answer = openai_answer};
}

}  // namespace e5v::detail
