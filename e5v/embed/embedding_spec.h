#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "e5v/base/json.h"
#include "e5v/embed/embedder.h"

namespace e5v::detail {

/// What vectors depend on: two sets of vectors can be compared if their specs say the same.
///
/// Digests are 16 digits of SHA-256 over names, sizes and contents of files. Of weights beyond 256
/// KiB a file, 64 samples of 4 KiB and the end are read, since 16 GB cannot be read for each
/// search: other trainings, other roundings and other names of tensors show in them; a change of
/// single weights between the samples does not.
///
/// An empty field is one that is not known, of a file of an earlier version; it equals every other.
struct EmbeddingSpec {
  std::string model;    ///< folders, to be named in messages; not compared
  std::string adapter;  ///< empty = none
  std::string weights, config, tokenizer, images, adapter_weights;  ///< digests
  std::string precision;                                            ///< "fp32", "bf16", …
  std::optional<int64_t> dimensions;
  std::optional<std::string> task, prompt;
  std::string image_processing;  ///< "current" or "4.41"
  std::optional<bool> exif;
  int64_t min_pixels = 0,
          max_pixels = 0;  ///< 0 = as the folder says, as always in earlier versions

  /// Of an Embedder of these options, which is not loaded. Throws FileError if there is no
  /// config.json or no safetensors file, and ConfigError as Embedder does.
  static EmbeddingSpec of(const EmbedderOptions& options);

  /// Fields that are missing or of another type are not known.
  static EmbeddingSpec from_json(const Json& json);
  Json to_json() const;

  /// to_json without the folders: all that is compared, and that others may see.
  Json compared_json() const;
  /// SHA-256 of compared_json(), in hexadecimal digits.
  std::string hash() const;
};

enum class SpecScope {
  kSpace,  ///< vectors that can be compared; texts and pictures may have other prompts
  kWhole,  ///< vectors that the same items give
};

/// What differs, for "… was made with": "another model: a in fp32, this is b in bf16". nullopt if
/// nothing does.
std::optional<std::string> difference(const EmbeddingSpec& made, const EmbeddingSpec& now,
                                      SpecScope scope);

}  // namespace e5v::detail
