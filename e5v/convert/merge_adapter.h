#pragma once

#include <filesystem>

#include "e5v/base/progress.h"

namespace e5v::detail {

struct MergeFiles {
  std::filesystem::path model;    ///< checkpoint folder
  std::filesystem::path adapter;  ///< PEFT adapter folder
  std::filesystem::path output;   ///< the merged checkpoint; new or empty
};

/// Writes a checkpoint in which each updated weight is W + scale B A, computed in float32 and
/// rounded to W's type; all else is the same to the byte. Throws FileError, FormatError;
/// ConfigError if the adapter updates a tensor that the checkpoint has not, or of another shape
/// (naming the first), or `output` is taken.
void merge_adapter(const MergeFiles& files, const ProgressCallback& progress = nullptr);

/// Embeds a few texts with the merged checkpoint and with the adapter over the unmerged one, and
/// returns their lowest cosine. Throws Error if it is below what rounding to the checkpoint's type
/// explains (0.999 for 16-bit weights, 1 - 1e-5 for float32).
double check_merge(const MergeFiles& files);

}  // namespace e5v::detail
