#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "e5v/export.h"
#include "e5v/item.h"

namespace e5v {

/// How a model is loaded and what it makes of items. The options of `e5v embed` under their names.
struct EmbedderOptions {
  /// A checkpoint folder in the Hugging Face layout; empty: what the environment variable E5V_MODEL
  /// names, else the miniature that is installed with the library, which knows drawings of coloured
  /// shapes only.
  std::filesystem::path model{};
  /// A PEFT LoRA adapter to merge while loading; empty = none.
  std::filesystem::path adapter{};
  /// "auto", "fp32", "bf16", "fp16" (CUDA), "int8", "int4" or "nf4".
  std::string precision = "auto";
  /// "auto" (CUDA where libtorch has it, else the CPU), "cpu", "cuda" or "cuda:N".
  std::string device = "auto";
  /// Threads of the CPU's work. It is libtorch's number for the whole process that is set; 0 leaves
  /// that as it is: at first, as many as the machine has cores.
  int64_t threads = 0;
  /// Tokens of one batch at the most, pictures' included; a longer item has a batch of its own.
  int64_t batch_tokens = 2048;
  /// Keep the first dimensions only, and normalise again; 0 = all.
  int64_t dimensions = 0;
  /// Make vectors of length 1; otherwise they are the model's states as they are.
  bool normalize = true;
  /// A named prompt set: retrieval, query, document, cirr, fashioniq-dress, fashioniq-shirt,
  /// fashioniq-toptee, sts.
  std::string task = "retrieval";
  /// A whole template instead, used verbatim, with `<image>` and `<sent>`; empty = the task's.
  std::string prompt{};
  /// Padding rule of AnyRes tiles: "current" transformers, or "4.41" as the paper had it.
  std::string image_processing = "current";
  /// Bounds of a resized picture's area in pixels, of models that take pictures of any size; 0 = as
  /// the folder says.
  int64_t min_pixels = 0;
  int64_t max_pixels = 0;
  /// Turn pictures as their EXIF orientation says.
  bool exif = true;
  /// Let control tokens written out in a text (`<|eot_id|>`, `<image>`) be control tokens.
  bool allow_special = false;
  /// Cut a text where the prompt would be longer than the model allows; otherwise that is an error.
  bool truncate = false;
  /// Of loading: bytes done and in all. Called on the caller's thread.
  std::function<void(uint64_t done, uint64_t total)> on_load_progress{};
  /// One line about what is odd but harmless.
  std::function<void(const std::string& message)> on_warning{};
};

/// Vectors of equal length in one piece.
struct Embeddings {
  int64_t num_items = 0;
  int64_t dimensions = 0;
  std::vector<float> data{};  ///< [num_items, dimensions], row-major

  std::span<const float> operator[](int64_t i) const {
    return std::span(data).subspan(static_cast<size_t>(i * dimensions),
                                   static_cast<size_t>(dimensions));
  }
};

/// Texts, pictures, and pictures changed by words, to unit vectors in one space: prompt, tokens and
/// tiles, the model, the last token's state, L2 norm (E5-V, section 3.1).
///
/// The same item gives the same vector whatever else is in its batch (docs/numerics.md says how
/// exactly). `embed` may be called from several threads; each call uses all of `threads`.
class E5V_API Embedder {
 public:
  /// Loads the model. Throws FileError, FormatError, ConfigError.
  explicit Embedder(const EmbedderOptions& options = {});
  Embedder(Embedder&&) noexcept;
  Embedder& operator=(Embedder&&) noexcept;
  ~Embedder();

  /// Length of the vectors.
  int64_t dimensions() const;
  /// What the model computes in: "fp32", "bf16", "fp16", "int8", "int4" or "nf4".
  const char* precision() const;

  /// One vector for each item, in order. Throws the first item's error, naming the item: InputError
  /// (empty, too long), FileError or FormatError (a picture), ConfigError (a task).
  Embeddings embed(std::span<const Item> items) const;
  Embeddings embed(std::initializer_list<Item> items) const;

 private:
  friend class Collection;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v
