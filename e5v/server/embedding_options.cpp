#include "e5v/server/embedding_options.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr std::array<std::pair<std::string_view, WireEncoding>, 6> kEncodings = {{
    {"float", WireEncoding::kFloat},
    {"base64", WireEncoding::kBase64},
    {"int8", WireEncoding::kInt8},
    {"uint8", WireEncoding::kUint8},
    {"binary", WireEncoding::kBinary},
    {"ubinary", WireEncoding::kUbinary},
}};

/// Names by which other services call what the default prompts do.
constexpr std::array kUsualTasks = {
    "retrieval.query", "retrieval.passage", "text-matching",   "classification",
    "separation",      "code.query",        "code.passage",    "query",
    "document",        "passage",           "retrieval_query", "retrieval_document"};

/// A field that would change vectors, and the only value of it that does not: null where none.
struct Refused {
  const char* field;
  const char* harmless;
  const char* reason;
};
constexpr Refused kRefused[] = {
    {"normalized", "true", "this server's vectors are always of length 1"},
    {"normalize", "true", "this server's vectors are always of length 1"},
    {"late_chunking", "false", "every text is embedded by itself"},
    {"return_multivector", "false", "every item has one vector"},
    {"add_special_tokens", "true", "the model's prompts have special tokens"},
    {"truncation_direction", "\"Right\"", "texts are cut at their end"},
    {"truncate_prompt_tokens", "null", "texts are cut to what the model takes, with 'truncate'"},
    {"max_tokens", "null", "texts are cut to what the model takes, with 'truncate'"},
    {"chat_template", "null", "'prompt' is a template"},
    {"mm_processor_kwargs", "null", "pictures are prepared as the model's folder says"},
};

void refuse_what_is_not_done(const RequestReader& reader) {
  for (const Refused& refused : kRefused) {
    const Json* value = reader.find(refused.field);
    if (value == nullptr || *value == Json::parse(refused.harmless)) continue;
    throw InputError(
        fmt::format("'{}' is {}, but {}", refused.field, json_excerpt(*value), refused.reason));
  }
}

WireEncoding parse_encoding(const Json& value, const std::string& field, const WireLimits& limits) {
  const std::string name = parse_text(value, field, limits);
  for (const auto& [known, encoding] : kEncodings) {
    if (name == known) return encoding;
  }
  throw InputError(
      fmt::format("'{}' is '{}', expected float, base64, int8, uint8, binary or ubinary", field,
                  printable(name, 40)));
}

/// One name, or a list of them.
std::vector<WireEncoding> parse_encodings(const RequestReader& reader) {
  std::vector<WireEncoding> encodings;
  for (const char* field : {"encoding_format", "embedding_type", "embedding_types",
                            "output_encoding", "output_dtype"}) {
    const Json* value = reader.find(field);
    if (value == nullptr) continue;
    std::vector<WireEncoding> named;
    if (!value->is_array()) {
      named.push_back(parse_encoding(*value, field, reader.limits()));
    } else if (value->empty() || value->size() > kEncodings.size()) {
      refuse_field(field, "a list of names", *value);
    } else {
      for (const Json& name : *value) named.push_back(parse_encoding(name, field, reader.limits()));
    }
    if (!encodings.empty() && named != encodings) {
      throw InputError(fmt::format("'{}' contradicts another field of encodings", field));
    }
    encodings = std::move(named);
  }
  if (encodings.empty()) encodings.push_back(WireEncoding::kFloat);
  return encodings;
}

int64_t parse_dimensions(const RequestReader& reader) {
  const auto dimensions = reader.integer("dimensions", 1);
  const auto output_dimension = reader.integer("output_dimension", 1);
  if (dimensions && output_dimension && *dimensions != *output_dimension) {
    throw InputError("'dimensions' and 'output_dimension' differ");
  }
  return dimensions ? *dimensions : output_dimension.value_or(0);
}

/// true, false, "END" or "NONE".
bool parse_truncate(const RequestReader& reader, bool truncate) {
  for (const char* field : {"truncate", "truncation"}) {
    const Json* value = reader.find(field);
    if (value == nullptr) continue;
    if (!value->is_boolean() && *value != "END" && *value != "NONE") {
      refuse_field(field, "true, false, END or NONE", *value);
    }
    truncate = value->is_boolean() ? value->get<bool>() : *value == "END";
  }
  return truncate;
}

}  // namespace

void parse_options(const RequestReader& reader, bool truncate, EmbeddingRequest& request) {
  refuse_what_is_not_done(reader);
  request.model = reader.string_or_empty("model");
  request.task = reader.string_or_empty("prompt_name");
  if (request.task.empty()) request.task = reader.string_or_empty("task");
  if (std::find(kUsualTasks.begin(), kUsualTasks.end(), request.task) != kUsualTasks.end()) {
    request.task.clear();
  }
  request.instruction = reader.string_or_empty("instruction");
  request.prompt = reader.string_or_empty("prompt");
  reader.string("input_type");  // query or document: one prompt serves both
  request.encodings = parse_encodings(reader);
  request.dimensions = parse_dimensions(reader);
  request.truncate = parse_truncate(reader, truncate);
}

const Json& common_option_schemas() {
  static const Json schemas = Json::parse(R"({
    "model": {"type": "string", "description": "Named in the answer; the server has one model"},
    "prompt_name": {"type": "string", "description": "A prompt set by name: retrieval, cirr, fashioniq-dress, fashioniq-shirt, fashioniq-toptee or sts. Names of other services' tasks stand for the server's own"},
    "task": {"type": "string", "description": "As prompt_name"},
    "instruction": {"type": "string", "description": "The prompt's words, such as: In one word, its colour:"},
    "prompt": {"type": "string", "description": "A whole template, verbatim, with <sent> for the text and <image> for a picture"}
  })");
  return schemas;
}

std::string_view encoding_name(WireEncoding encoding) {
  for (const auto& [name, known] : kEncodings) {
    if (known == encoding) return name;
  }
  throw_broken_invariant("encoding is an enumerator", __FILE__, __LINE__);
}

}  // namespace e5v::detail
