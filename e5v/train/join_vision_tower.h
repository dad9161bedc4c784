#pragma once

#include <filesystem>

#include "e5v/base/progress.h"

namespace e5v {

/// Writes `model`'s checkpoint with the vision tower of a CLIP folder in place of its own, as
/// LLaVA begins with CLIP's; all else is the same to the byte. Values are rounded to the types of
/// `model`. Throws FileError, FormatError; ConfigError if `clip` lacks a tensor of the tower or has
/// one of another shape (naming the first), or `output` is taken.
void join_vision_tower(const std::filesystem::path& model, const std::filesystem::path& clip,
                       const std::filesystem::path& output,
                       const ProgressCallback& progress = nullptr);

}  // namespace e5v
