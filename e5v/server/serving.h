#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/embed/embedder.h"
#include "e5v/embed/embedding_spec.h"
#include "e5v/index/collection.h"
#include "e5v/server/batcher.h"
#include "e5v/server/http_server.h"
#include "e5v/server/metrics.h"
#include "e5v/server/remote_image.h"
#include "e5v/server/wire_types.h"

namespace e5v::detail {

/// What answers are made of, once the model is loaded.
struct Serving {
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<Collection> collection;  ///< null: none
  PrepareOptions prepare;                  ///< of the server's command line
  std::string model_name;
  EmbeddingSpec spec;     ///< of the vectors, with `prepare`'s prompts
  int64_t loaded_at = 0;  ///< seconds since 1970
  WireLimits limits;
  RemoteImageOptions remote_images;
  Metrics* metrics = nullptr;
  std::atomic<uint64_t> next_answer = 1;  ///< numbers answers that have an id
  std::unique_ptr<Batcher> batcher;       // last: it ends before what it uses

  /// Throws InputError if there is none.
  Collection& require_collection() const;
  /// A request's picture. Throws InputError.
  std::vector<std::byte> image_bytes(const WireImage& image) const;
  /// Vectors of the items, in batches with those of other requests. Throws InputError for what is
  /// wrong with an item, Error if the model gives no numbers.
  EmbeddedItems embed(const std::vector<Item>& items, const PrepareOptions& options,
                      const HttpCall& call) const;
};

HttpAnswer json_answer(const Json& json, int status = 200);
/// An error in OpenAI's form.
HttpAnswer error_answer(int status, std::string_view message, std::string_view type,
                        std::string_view code);
/// Throws InputError where the body is no JSON, or has millions of values.
Json parse_body(const HttpCall& call);
/// In hexadecimal digits.
std::string sha256(std::string_view text);

}  // namespace e5v::detail
