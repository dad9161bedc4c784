#pragma once

#include <filesystem>
#include <optional>

#include "e5v/base/progress.h"
#include "e5v/checkpoint/dtype.h"

namespace e5v::detail {

struct GgufImport {
  /// The language model, of ggml's architecture `llama`.
  std::filesystem::path model;
  /// The vision tower and projector, as llama.cpp's converters write them for LLaVA.
  std::filesystem::path mmproj;
  /// Folder with the model's config.json, tokenizer.json and preprocessor_config.json: GGUF files
  /// hold them in another form, and not completely.
  std::filesystem::path config;
  /// F32, F16 or BF16; by default BF16 where the language model's matrices are, else F16.
  std::optional<DType> dtype;
};

/// Writes the checkpoint folder that such a pair of files was made of (or would have been, after
/// their rounding): names and shapes as published, rows of q and k in transformers' order, so that
/// everything loads it. What embedding does not need is left out, but for the head. In little
/// memory; the folder appears when it is complete. Returns the type that was written.
///
/// Throws FileError, FormatError (all missing and misshaped tensors in one), ConfigError.
DType import_gguf(const GgufImport& source, const std::filesystem::path& target,
                  const ProgressCallback& progress = nullptr);

}  // namespace e5v::detail
