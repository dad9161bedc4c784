#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "e5v/base/progress.h"
#include "e5v/image/image_processor.h"
#include "e5v/model/clip.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {

/// Pictures of a folder (sub-folders included, by path) or of a file of JSON objects with "image",
/// and their features in a frozen CLIP.
///
/// Shapes: N pictures, P projection_dim.
struct PictureFeatures {
  std::vector<std::filesystem::path> paths;
  at::Tensor features;  ///< [N, P] fp32, not normalised
};

struct PictureFeaturesOptions {
  /// Where finished features are kept, so that a computation that was interrupted goes on; empty:
  /// nowhere. Deleted and begun anew where it is of other pictures or another model.
  std::filesystem::path cache;
  /// What a picture does that cannot be read.
  OnBadRow on_bad_picture = OnBadRow::kStop;
  int64_t batch_size = 32;
  ProgressCallback on_progress;
  std::function<void(const std::string& message)> on_warning;
};

/// Throws FileError, FormatError or InputError naming the first picture that cannot be read;
/// ConfigError where there is none.
PictureFeatures compute_picture_features(const std::filesystem::path& pictures, const Clip& clip,
                                         const ImageProcessor& processor,
                                         const PictureFeaturesOptions& options);

}  // namespace e5v::detail
