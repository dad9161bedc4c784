#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"

namespace e5v {

/// A picture in a request: its bytes, or a URL that somebody has to fetch.
struct WireImage {
  std::vector<std::byte> bytes;
  std::string url;
};

/// One thing to embed, whatever the shape it came in: a text, pictures, or both in one vector.
struct WireItem {
  std::optional<std::string> text;
  std::vector<int64_t> token_ids;  ///< a text as token ids of the model's tokenizer; empty = none
  std::vector<WireImage> images;
};

/// How vectors are answered.
enum class WireEncoding { kFloat, kBase64, kInt8, kUint8, kBinary, kUbinary };

enum class WireShape { kOpenAi, kCohere };

/// What all shapes of embedding requests are mapped to.
struct EmbeddingRequest {
  std::string model;
  std::vector<WireItem> items;
  std::vector<WireEncoding> encodings;
  int64_t dimensions = 0;   ///< 0 = all
  bool truncate = false;    ///< cut texts that are too long
  std::string task;         ///< a prompt set by name; empty = the default
  std::string instruction;  ///< the prompt's words instead
  std::string prompt;       ///< a whole template instead, verbatim
  WireShape shape = WireShape::kOpenAi;
};

struct WireLimits {
  size_t max_items = 2048;
  size_t max_images_per_item = 16;
  size_t max_text_bytes = 1 << 20;
  size_t max_image_bytes = 20 << 20;
};

/// `POST /v1/embeddings`: OpenAI's `input` (a string, strings, token ids, lists of token ids),
/// Jina's, SGLang's and Xinference's items ({"text"}, {"image"}, both), and vLLM's `messages` (one
/// conversation, or a list of them).
/// This and the following throw InputError that names the field.
EmbeddingRequest parse_embeddings_request(const Json& json, const WireLimits& limits);
/// `POST /v2/embed`: Cohere's.
EmbeddingRequest parse_cohere_request(const Json& json, const WireLimits& limits);
/// `POST /v1/multimodalembeddings`: Voyage's.
EmbeddingRequest parse_voyage_request(const Json& json, const WireLimits& limits);
/// `POST /embeddings`: Infinity's, with `modality`.
EmbeddingRequest parse_infinity_request(const Json& json, const WireLimits& limits);

/// An image field: a data URL, an http(s) URL, or bare base64.
WireImage parse_image(const std::string& value, const std::string& field, const WireLimits& limits);

/// Vectors (of unit length, already of the wanted dimensions) as the request's shape answers them.
/// `num_tokens` of all items; `id` names the answer where the shape has a name.
Json embedding_response(const EmbeddingRequest& request, const std::string& model,
                        const std::vector<std::vector<float>>& vectors, int64_t num_tokens,
                        const std::string& id);

/// An error in OpenAI's form.
Json error_response(std::string_view message, std::string_view type, std::string_view code);

}  // namespace e5v
