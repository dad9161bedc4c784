#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace e5v::detail {

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

/// What all shapes of embedding requests are mapped to.
struct EmbeddingRequest {
  std::string model;
  std::vector<WireItem> items;
  std::vector<WireEncoding> encodings;  ///< at least one
  int64_t dimensions = 0;               ///< 0 = all
  bool truncate = false;                ///< cut texts that are too long
  std::string task;                     ///< a prompt set by name; empty = the default
  std::string instruction;              ///< the prompt's words instead
  std::string prompt;                   ///< a whole template instead, verbatim
};

/// What is answered, in whatever shape.
struct EmbeddingResult {
  std::string id;     ///< of the answer, where its shape has one
  std::string model;  ///< as the request called it, else its own name
  /// Of unit length and of the wanted dimensions, in the order of the items.
  std::vector<std::vector<float>> vectors;
  int64_t num_tokens = 0;  ///< of all items
};

struct WireLimits {
  size_t max_items = 2048;
  size_t max_images_per_item = 16;
  size_t max_text_bytes = 1 << 20;
  size_t max_image_bytes = 20 << 20;
};

}  // namespace e5v::detail
