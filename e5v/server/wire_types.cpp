#include "e5v/server/wire_types.h"

#include <algorithm>
#include <array>

#include "e5v/base/base64.h"
#include "e5v/base/error.h"

namespace e5v {
namespace {

[[noreturn]] void fail(const std::string& field, std::string_view expected, const Json& got) {
  throw InputError(fmt::format("'{}' is {}, expected {}", field, json_excerpt(got), expected));
}

/// Reads the fields of one request; its errors are those of the caller's input.
class RequestReader {
 public:
  RequestReader(const Json& json, const WireLimits& limits) : json_(json), limits_(limits) {
    if (!json.is_object()) fail("body", "a JSON object", json);
  }

  const Json* find(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  const Json& require(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) throw InputError(fmt::format("'{}' is missing", key));
    return *value;
  }
  std::string string_or_empty(const char* key) const {
    const Json* value = find(key);
    return value == nullptr ? "" : text_of(*value, key);
  }
  bool flag(const char* key, bool fallback) const {
    const Json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) fail(key, "true or false", *value);
    return value->get<bool>();
  }
  int64_t dimensions(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return 0;
    int64_t dimensions = 0;
    try {
      dimensions = json_as<int64_t>(*value, key);
    } catch (const ConfigError& error) {
      throw InputError(error.what());
    }
    if (dimensions < 0) fail(key, "a positive number", *value);
    return dimensions;
  }

  std::string text_of(const Json& value, const std::string& field) const {
    if (!value.is_string()) fail(field, "a string", value);
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() > limits_.max_text_bytes) {
      throw InputError(fmt::format("'{}' has {} bytes, at most {} are taken", field, text.size(),
                                   limits_.max_text_bytes));
    }
    return text;
  }

  /// A string, or {"url": string} as OpenAI's image_url is.
  WireImage image_of(const Json& value, const std::string& field) const {
    const Json& url = value.is_object() && value.contains("url") ? value["url"] : value;
    if (!url.is_string()) fail(field, "a URL or base64", value);
    return parse_image(url.get_ref<const std::string&>(), field, limits_);
  }

  /// Adds one part of a message: {"type": "text" | "image_url" | "image_base64" | "image", …}.
  void add_part(const Json& part, const std::string& field, WireItem& item) const {
    if (part.is_string()) return add_text(part, field, item);
    if (!part.is_object() || !part.contains("type")) fail(field, "a part with a 'type'", part);
    const std::string type = text_of(part["type"], field + ".type");
    const auto content = [&](std::initializer_list<const char*> keys) -> const Json& {
      for (const char* key : keys) {
        if (part.contains(key)) return part[key];
      }
      throw InputError(fmt::format("'{}.{}' is missing", field, *keys.begin()));
    };
    if (type == "text" || type == "input_text") {
      add_text(content({"text"}), field + ".text", item);
    } else if (type == "image_url" || type == "input_image") {
      add_image(image_of(content({"image_url", "url"}), field + ".image_url"), field, item);
    } else if (type == "image_base64" || type == "image") {
      add_image(image_of(content({"image_base64", "image", "data"}), field + ".image"), field,
                item);
    } else {
      throw InputError(fmt::format("'{}.type' is '{}', expected text, image_url or image_base64",
                                   field, printable(type, 40)));
    }
  }

  void add_text(const Json& value, const std::string& field, WireItem& item) const {
    std::string text = text_of(value, field);
    if (text.empty()) return;
    item.text = item.text ? *item.text + "\n" + text : std::move(text);
  }

  void add_image(WireImage image, const std::string& field, WireItem& item) const {
    if (item.images.size() == limits_.max_images_per_item) {
      throw InputError(
          fmt::format("'{}': more than {} images in one item", field, limits_.max_images_per_item));
    }
    item.images.push_back(std::move(image));
  }

  void check_count(size_t count, const std::string& field) const {
    if (count == 0) throw InputError(fmt::format("'{}' is empty", field));
    if (count > limits_.max_items) {
      throw InputError(
          fmt::format("'{}' has {} items, at most {} are taken", field, count, limits_.max_items));
    }
  }

 private:
  const Json& json_;
  const WireLimits& limits_;
};

WireItem require_content(WireItem item, const std::string& field) {
  if (!item.text && item.token_ids.empty() && item.images.empty()) {
    throw InputError(fmt::format("'{}' has neither a text nor an image", field));
  }
  return item;
}

std::vector<int64_t> token_ids_of(const Json& ids, const std::string& field) {
  std::vector<int64_t> result;
  for (const Json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) fail(field, "token ids", id);
    result.push_back(id.get<int64_t>());
  }
  if (result.size() > 1'000'000) throw InputError(fmt::format("'{}' is too long", field));
  return result;
}

/// One element of `input`: a string, token ids, or Jina's {"text"}, {"image"}, both.
WireItem parse_input(const Json& input, const std::string& field, const RequestReader& reader) {
  WireItem item;
  if (input.is_string()) {
    item.text = reader.text_of(input, field);
  } else if (input.is_array() && !input.empty() && input[0].is_number()) {
    item.token_ids = token_ids_of(input, field);
  } else if (input.is_object()) {
    if (input.contains("type")) {
      reader.add_part(input, field, item);
      return require_content(std::move(item), field);
    }
    if (input.contains("content") && input["content"].is_array()) {
      const Json& parts = input["content"];
      for (size_t i = 0; i < parts.size(); ++i) {
        reader.add_part(parts[i], fmt::format("{}.content[{}]", field, i), item);
      }
    }
    if (input.contains("text") && !input["text"].is_null()) {
      reader.add_text(input["text"], field + ".text", item);
    }
    for (const char* key : {"image", "url", "bytes", "image_url"}) {
      if (!input.contains(key) || input[key].is_null()) continue;
      const Json& images = input[key];
      if (!images.is_array()) {
        reader.add_image(reader.image_of(images, field + "." + key), field, item);
      } else {
        for (const Json& image : images) {
          reader.add_image(reader.image_of(image, field + "." + key), field, item);
        }
      }
    }
  } else {
    fail(field, "a string, token ids, or an object with 'text' or 'image'", input);
  }
  return require_content(std::move(item), field);
}

/// `input` as a list of items. Content parts ({"type": …}) in a list are one item together.
std::vector<WireItem> parse_inputs(const Json& input, const char* field,
                                   const RequestReader& reader) {
  const bool is_list = input.is_array() && !(input.size() > 0 && input[0].is_number());
  if (!is_list) return {parse_input(input, field, reader)};
  reader.check_count(input.size(), field);
  const bool is_parts = std::all_of(input.begin(), input.end(), [](const Json& part) {
    return part.is_object() && part.contains("type");
  });
  std::vector<WireItem> items;
  if (is_parts) items.emplace_back();
  for (size_t i = 0; i < input.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", field, i);
    if (is_parts) {
      reader.add_part(input[i], name, items[0]);
    } else {
      items.push_back(parse_input(input[i], name, reader));
    }
  }
  if (is_parts) items[0] = require_content(std::move(items[0]), field);
  return items;
}

/// A conversation: what its user's messages hold, in one item. Returns the system's words.
std::string parse_conversation(const Json& messages, const std::string& field,
                               const RequestReader& reader, WireItem& item) {
  std::string system;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", field, i);
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      fail(name, "a message with a 'role'", message);
    }
    const std::string role = message["role"].get<std::string>();
    const Json content = message.contains("content") ? message["content"] : Json("");
    WireItem part;
    if (content.is_string()) {
      reader.add_text(content, name + ".content", part);
    } else if (content.is_array()) {
      for (size_t k = 0; k < content.size(); ++k) {
        reader.add_part(content[k], fmt::format("{}.content[{}]", name, k), part);
      }
    } else {
      fail(name + ".content", "a string or a list of parts", content);
    }
    if (role == "system") {
      system += part.text.value_or("");
    } else if (role == "user") {
      if (part.text) reader.add_text(*part.text, name, item);
      for (WireImage& image : part.images) reader.add_image(std::move(image), name, item);
    } else if (role != "assistant" || part.text || !part.images.empty()) {
      fail(name, "messages of the user, the system, or an empty one of the assistant", message);
    }
  }
  item = require_content(std::move(item), field);
  return system;
}

WireEncoding parse_encoding(const std::string& name, const std::string& field) {
  constexpr std::array<std::pair<std::string_view, WireEncoding>, 6> kEncodings = {{
      {"float", WireEncoding::kFloat},
      {"base64", WireEncoding::kBase64},
      {"int8", WireEncoding::kInt8},
      {"uint8", WireEncoding::kUint8},
      {"binary", WireEncoding::kBinary},
      {"ubinary", WireEncoding::kUbinary},
  }};
  for (const auto& [known, encoding] : kEncodings) {
    if (name == known) return encoding;
  }
  throw InputError(
      fmt::format("'{}' is '{}', expected float, base64, int8, uint8, binary or ubinary", field,
                  printable(name, 40)));
}

/// Fields that every shape may have.
void parse_options(const RequestReader& reader, EmbeddingRequest& request) {
  request.model = reader.string_or_empty("model");
  request.task = reader.string_or_empty("prompt_name");
  if (request.task.empty()) request.task = reader.string_or_empty("task");
  // Names by which other services call what the default prompts do.
  for (const char* usual : {"retrieval.query", "retrieval.passage", "text-matching", "query",
                            "document", "retrieval_query", "retrieval_document"}) {
    if (request.task == usual) request.task.clear();
  }
  request.instruction = reader.string_or_empty("instruction");
  request.prompt = reader.string_or_empty("prompt");
}

}  // namespace

WireImage parse_image(const std::string& value, const std::string& field,
                      const WireLimits& limits) {
  WireImage image;
  if (value.starts_with("http://") || value.starts_with("https://")) {
    if (value.size() > 4096) throw InputError(fmt::format("'{}': the URL is too long", field));
    image.url = value;
    return image;
  }
  std::string_view data = value;
  if (data.starts_with("data:")) {
    const size_t comma = data.find(',');
    if (comma == std::string_view::npos || !data.substr(0, comma).ends_with(";base64")) {
      throw InputError(fmt::format("'{}' is a data URL without ';base64,'", field));
    }
    data.remove_prefix(comma + 1);
  }
  auto bytes = decode_base64(data);
  if (!bytes || bytes->empty()) {
    throw InputError(
        fmt::format("'{}' is neither a data URL, nor valid base64, nor an http URL: '{}'", field,
                    printable(value, 40)));
  }
  if (bytes->size() > limits.max_image_bytes) {
    throw InputError(fmt::format("'{}' has {} bytes, at most {} are taken", field, bytes->size(),
                                 limits.max_image_bytes));
  }
  image.bytes = *std::move(bytes);
  return image;
}

EmbeddingRequest parse_embeddings_request(const Json& json, const WireLimits& limits) {
  const RequestReader reader(json, limits);
  EmbeddingRequest request;
  parse_options(reader, request);
  if (const Json* messages = reader.find("messages")) {
    if (!messages->is_array() || messages->empty())
      fail("messages", "a list of messages", *messages);
    const bool is_many = (*messages)[0].is_array();
    reader.check_count(is_many ? messages->size() : 1, "messages");
    for (size_t i = 0; i < (is_many ? messages->size() : 1); ++i) {
      const Json& conversation = is_many ? (*messages)[i] : *messages;
      if (!conversation.is_array()) fail("messages", "lists of messages", conversation);
      const std::string system =
          parse_conversation(conversation, is_many ? fmt::format("messages[{}]", i) : "messages",
                             reader, request.items.emplace_back());
      if (!system.empty() && request.instruction.empty()) request.instruction = system;
    }
  } else {
    request.items = parse_inputs(reader.require("input"), "input", reader);
  }
  std::string encoding = reader.string_or_empty("encoding_format");
  if (encoding.empty()) encoding = reader.string_or_empty("embedding_type");
  request.encodings = {encoding.empty() ? WireEncoding::kFloat
                                        : parse_encoding(encoding, "encoding_format")};
  request.dimensions = reader.dimensions("dimensions");
  request.truncate = reader.flag("truncate", false);
  if (!reader.flag("normalized", true)) {
    throw InputError("'normalized' is false, but this server's vectors are always of length 1");
  }
  return request;
}

EmbeddingRequest parse_cohere_request(const Json& json, const WireLimits& limits) {
  const RequestReader reader(json, limits);
  EmbeddingRequest request;
  request.shape = WireShape::kCohere;
  parse_options(reader, request);
  size_t num_fields = 0;
  for (const char* field : {"texts", "images", "inputs"}) {
    const Json* values = reader.find(field);
    if (values == nullptr) continue;
    ++num_fields;
    if (!values->is_array()) fail(field, "a list", *values);
    reader.check_count(values->size(), field);
    for (size_t i = 0; i < values->size(); ++i) {
      const std::string name = fmt::format("{}[{}]", field, i);
      if (std::string_view(field) == "inputs") {
        request.items.push_back(parse_input((*values)[i], name, reader));
      } else if (std::string_view(field) == "texts") {
        request.items.emplace_back().text = reader.text_of((*values)[i], name);
      } else {
        reader.add_image(reader.image_of((*values)[i], name), name, request.items.emplace_back());
      }
    }
  }
  if (num_fields != 1) throw InputError("one of 'texts', 'images' and 'inputs' is expected");
  const Json* types = reader.find("embedding_types");
  if (types != nullptr && (!types->is_array() || types->empty() || types->size() > 6)) {
    fail("embedding_types", "a list of names", *types);
  }
  if (types == nullptr) request.encodings = {WireEncoding::kFloat};
  for (size_t i = 0; types != nullptr && i < types->size(); ++i) {
    request.encodings.push_back(
        parse_encoding(reader.text_of((*types)[i], "embedding_types"), "embedding_types"));
  }
  request.dimensions = reader.dimensions("output_dimension");
  const std::string truncate = reader.string_or_empty("truncate");
  if (truncate == "START")
    throw InputError("'truncate' START is not known here, expected END or NONE");
  request.truncate = truncate != "NONE";
  return request;
}

EmbeddingRequest parse_voyage_request(const Json& json, const WireLimits& limits) {
  const RequestReader reader(json, limits);
  EmbeddingRequest request;
  parse_options(reader, request);
  const Json& inputs = reader.require("inputs");
  if (!inputs.is_array()) fail("inputs", "a list", inputs);
  reader.check_count(inputs.size(), "inputs");
  for (size_t i = 0; i < inputs.size(); ++i) {
    request.items.push_back(parse_input(inputs[i], fmt::format("inputs[{}]", i), reader));
  }
  const std::string encoding = reader.string_or_empty("output_encoding");
  request.encodings = {encoding.empty() ? WireEncoding::kFloat
                                        : parse_encoding(encoding, "output_encoding")};
  request.dimensions = reader.dimensions("output_dimension");
  request.truncate = reader.flag("truncation", true);
  return request;
}

EmbeddingRequest parse_infinity_request(const Json& json, const WireLimits& limits) {
  const RequestReader reader(json, limits);
  const std::string modality = reader.string_or_empty("modality");
  if (modality.empty() || modality == "text") return parse_embeddings_request(json, limits);
  if (modality != "image") {
    throw InputError(
        fmt::format("'modality' is '{}', expected text or image", printable(modality, 40)));
  }
  Json images = json;
  const Json& input = reader.require("input");
  Json items = Json::array();
  for (const Json& image : input.is_array() ? input : Json::array({input})) {
    items.push_back({{"image", image}});
  }
  images["input"] = std::move(items);
  return parse_embeddings_request(images, limits);
}

}  // namespace e5v
