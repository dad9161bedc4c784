// What the systems that compute vectors have in common. Included by sources of eval/ only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "e5v/eval/embedding_cache.h"
#include "e5v/eval/system.h"

namespace e5v {

/// What the vectors of a model folder (or of a single file) depend on: its configs in full, of
/// weights size, header and samples throughout. Throws FileError.
ContentHash fingerprint_model(const std::filesystem::path& path);

/// What a picture's vectors depend on: the file's bytes, or the drawn text. Throws FileError.
ContentHash fingerprint_image(const EvalImage& image, const TextImageOptions& text_image);

/// The picture's pixels, without a look at its EXIF orientation, as the published evaluation reads
/// them. `renderer` is made on first use. Throws as decode_image.
Image load_eval_image(const EvalImage& image, const TextImageOptions& text_image,
                      std::optional<TextImageRenderer>& renderer);

/// Hands out what the cache has and has the rest computed.
class CachedEmbedding {
 public:
  CachedEmbedding(EmbeddingCache cache, int64_t dimensions, EmbedProgress on_progress)
      : cache_(std::move(cache)), dimensions_(dimensions), on_progress_(std::move(on_progress)) {}

  /// Where `compute` delivers: the input's index and its vector, or why there is none.
  struct Sink {
    std::function<void(size_t index, std::span<const float> vector)> vector;
    std::function<void(size_t index, const std::string& why)> failure;
  };
  /// Computes the vectors of the inputs with these indices, in any order.
  using Compute = std::function<void(const std::vector<size_t>& missing, const Sink& sink)>;

  /// The vectors of inputs with these keys, as they are (not normalised). An input whose key could
  /// not be made has nullopt and `failed` already.
  Embedded embed(const std::vector<std::optional<ContentHash>>& keys,
                 std::vector<std::pair<size_t, std::string>> failed, const std::string& what,
                 const Compute& compute);

 private:
  EmbeddingCache cache_;
  int64_t dimensions_;
  EmbedProgress on_progress_;
};

/// Keys of pictures, in order; those that cannot be read go to `failed`.
std::vector<std::optional<ContentHash>> image_keys(
    std::span<const EvalImage> images, const TextImageOptions& text_image,
    const EmbedProgress& progress, std::vector<std::pair<size_t, std::string>>& failed);

}  // namespace e5v
