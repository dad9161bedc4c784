#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "e5v/eval/embedding_cache.h"
#include "e5v/eval/system.h"

namespace e5v::detail {

/// What the vectors of a model folder (or of a single file) depend on: its configs in full, of
/// weights size, header and samples throughout. Throws FileError.
ContentHash fingerprint_model(const std::filesystem::path& path);

/// What a picture's vectors depend on: the file's bytes, or the drawn text. Throws FileError.
ContentHash fingerprint_image(const EvalImage& image, const TextImageOptions& text_image);

/// The embedding of every system that computes its vectors: what the cache has is taken from there,
/// the rest is computed and kept.
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

}  // namespace e5v::detail
