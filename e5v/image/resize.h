#pragma once

#include <cstdint>

#include "e5v/image.h"

namespace e5v::detail {

/// PIL's `Image.Resampling`, by the numbers that preprocessor_config.json holds.
enum class Resample {
  kNearest = 0,
  kLanczos = 1,
  kBilinear = 2,
  kBicubic = 3,
  kBox = 4,
  kHamming = 5,
};

/// Which direction is resampled first. The result of the first is rounded to 8 bits, so the order
/// shows in the last bit of some pixels.
enum class ResizeOrder {
  /// Pillow 13: the columns first if they lose more than twice as many pixels as the rows.
  kPillow13,
  /// Pillow before 13: always the rows first.
  kRowsFirst,
};

/// Resizes as PIL's `Image.resize` does, to equal bytes: the filter is widened when shrinking
/// (antialiasing), and weights are 22-bit fixed-point. A picture that already has the size is
/// returned as it is.
///
/// Throws InputError if a side of `image` or `size` is not positive or over 2^24, or if the result,
/// or what lies between the two directions, has over 2^29 pixels.
Image resize(const Image& image, ImageSize size, Resample resample,
             ResizeOrder order = ResizeOrder::kPillow13);

}  // namespace e5v::detail
