// A request's body, of every shape, up to the answer. The first byte chooses the shape.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "e5v/base/base64.h"
#include "e5v/base/error.h"
#include "e5v/server/embedding_shape.h"

using namespace e5v;
using namespace e5v::detail;

namespace {

constexpr WireLimits kLimits{
    .max_items = 64, .max_images_per_item = 4, .max_text_bytes = 4096, .max_image_bytes = 4096};

/// What every request that was taken promises to whoever embeds it.
void check(const EmbeddingShape& shape, const EmbeddingRequest& request) {
  if (request.items.empty() || request.items.size() > kLimits.max_items) std::abort();
  if (request.encodings.empty() || request.dimensions < 0) std::abort();
  for (const WireItem& item : request.items) {
    if (item.images.size() > kLimits.max_images_per_item) std::abort();
    for (const WireImage& image : item.images) {
      if (image.bytes.empty() == image.url.empty()) std::abort();
      if (image.bytes.size() > kLimits.max_image_bytes) std::abort();
      // The same bytes again, whatever alphabet and padding they came in.
      if (decode_base64(encode_base64(image.bytes)) != image.bytes) std::abort();
    }
    for (const int64_t id : item.token_ids) {
      if (id < 0) std::abort();
    }
  }
  const std::vector<std::vector<float>> vectors(request.items.size(), {0.5f, -0.5f, 0, 1});
  const Json answer = shape.answer(
      request, {.id = "id", .model = request.model, .vectors = vectors, .num_tokens = 1});
  answer.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return -1;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto shapes = embedding_shapes();
  const EmbeddingShape& shape = shapes[data[0] % shapes.size()];
  try {
    check(shape, shape.parse(parse_json(body, "body"), kLimits));
  } catch (const Error& error) {
    // Answered with 400, so it has to be something to say.
    if (std::string_view(error.what()).empty()) std::abort();
  }
  return 0;
}
