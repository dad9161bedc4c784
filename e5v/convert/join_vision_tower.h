#pragma once

#include <filesystem>

#include "e5v/base/progress.h"

namespace e5v::detail {

/// Writes `model`'s checkpoint with another's vision tower in place of its own: that of a CLIP
/// folder, as LLaVA begins with CLIP's, or tower and projector of a LLaVA folder, whose language
/// model was trained on meanwhile. All else is the same to the byte. Values are rounded to the
/// types of `model`. Throws FileError, FormatError; ConfigError if `vision` lacks a tensor or has
/// one of another shape (naming the first), or `output` is taken.
void join_vision_tower(const std::filesystem::path& model, const std::filesystem::path& vision,
                       const std::filesystem::path& output,
                       const ProgressCallback& progress = nullptr);

}  // namespace e5v::detail
