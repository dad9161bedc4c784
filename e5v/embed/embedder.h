#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/embed/item_source.h"
#include "e5v/embed/prepare.h"
#include "e5v/model/precision.h"

namespace e5v::detail {

struct EmbedderOptions {
  /// A checkpoint folder in the Hugging Face layout.
  std::filesystem::path model;
  /// A PEFT LoRA adapter to merge while loading; empty = none.
  std::filesystem::path adapter;
  Precision precision = Precision::kAuto;
  /// "auto" (CUDA where libtorch has it, else the CPU), "cpu", "cuda" or "cuda:N".
  std::string device = "auto";
  /// Threads of the CPU's work. It is libtorch's number for the whole process that is set; 0 leaves
  /// that as it is (at::set_num_threads, or as many as the machine has cores).
  int64_t threads = 0;
  /// Tokens of one batch at the most, pictures' included; a longer item has a batch of its own.
  int64_t batch_tokens = 2048;
  /// Keep the first dimensions only, and normalise again; 0 = all.
  int64_t dimensions = 0;
  /// Make vectors of length 1; otherwise they are the model's states as they are.
  bool normalize = true;
  ImageProcessing image_processing = ImageProcessing::kCurrent;
  /// Bounds of a resized picture's area in pixels, for models that take pictures of any size; 0 =
  /// as the folder says.
  int64_t min_pixels = 0;
  int64_t max_pixels = 0;
  PrepareOptions prepare;
  ProgressCallback on_load_progress;
  std::function<void(const std::string& message)> on_warning;

  /// Throws ConfigError naming the field.
  void validate() const;
};

/// Texts, pictures, and pictures changed by words, to unit vectors in one space: prompt, tokens and
/// tiles, the model, the last token's state, L2 norm (E5-V, section 3.1).
///
/// The same item gives the same vector whatever else is in its batch (docs/numerics.md says how
/// exactly). `embed` may be called from several threads; each call uses all of `threads`.
class Embedder {
 public:
  /// Loads the model. Throws FileError, FormatError, ConfigError.
  explicit Embedder(EmbedderOptions options);
  Embedder(Embedder&&) noexcept;
  Embedder& operator=(Embedder&&) noexcept;
  ~Embedder();

  /// Length of the vectors.
  int64_t dimensions() const;
  const EmbedderOptions& options() const;
  const Architecture& architecture() const;
  const ItemPreparer& preparer() const;
  /// What the model computes in: "fp32", "bf16" or "fp16".
  const char* precision() const;

  /// One vector for each item, in order. Throws the first item's error, naming the item.
  std::vector<std::vector<float>> embed(std::span<const Item> items) const;

  /// Vectors of prepared items, one batch: [items][dimensions()].
  std::vector<std::vector<float>> embed_prepared(std::span<const PreparedItem> items) const;

  /// Where its vectors go: in the order of the items, which are counted from 0.
  using VectorSink =
      std::function<void(uint64_t index, const Item& item, std::span<const float> vector)>;
  /// Where an item goes that cannot be embedded, also in order; without one, its error is thrown.
  using ErrorSink = std::function<void(uint64_t index, const Item& item, const Error& error)>;

  /// Embeds a stream of any length in bounded memory: a thread of its own reads and prepares items
  /// while the model computes. Callbacks of source and sinks: `source` on that thread, the sinks on
  /// the caller's. An exception of any of them ends the stream and is thrown here.
  void embed_stream(const ItemSource& source, const VectorSink& on_vector,
                    const ErrorSink& on_error = nullptr) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v::detail
