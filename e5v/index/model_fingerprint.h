#pragma once

#include <filesystem>

#include "e5v/base/json.h"

namespace e5v {

/// What tells the vectors of one model folder from those of another, wherever it lies:
/// {"config", "tokenizer", "images", "weights"}, digests of the files that matter. Of the weights,
/// the headers and 64 samples of 4 KiB a file are read: other weights show in them, and 16 GB need
/// not be read for each search. `adapter`, if not empty, adds "adapter".
/// Throws FileError if there is no config.json or no safetensors file.
Json model_fingerprint(const std::filesystem::path& model,
                       const std::filesystem::path& adapter = {});

}  // namespace e5v
