#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "e5v/image.h"
#include "e5v/image/anyres.h"  // ImageProcessing
#include "e5v/model/image_layout.h"

namespace e5v::detail {

/// What a caller may say of how pictures are prepared.
struct PictureOptions {
  ImageProcessing processing = ImageProcessing::kCurrent;
  /// Bounds of a resized picture's area in pixels, for families that take pictures of any size; 0 =
  /// as the folder says.
  int64_t min_pixels = 0;
  int64_t max_pixels = 0;
};

/// A picture cut up for the vision tower, still in bytes: a quarter of its pixel_values.
struct PreparedPicture {
  ImageSize original;        ///< the picture's own size
  int64_t num_rows = 0;      ///< of pixel_values
  std::vector<uint8_t> rgb;  ///< pixels of the rows, as its PictureRules lay them out
  ImageLayout layout;
};

/// What a family of models makes of pictures: rows of pixel_values, and tokens in the text.
///
/// Immutable; every method is const and thread-safe.
class PictureRules {
 public:
  virtual ~PictureRules() = default;

  /// Throws InputError if the picture is empty or too thin.
  virtual PreparedPicture prepare(const Image& image) const = 0;

  /// Shape of one row of pixel_values.
  virtual std::vector<int64_t> row_shape() const = 0;

  /// fp32 pixel_values [num_rows, …row_shape()] of `picture`, written to `out`, which has room for
  /// them.
  virtual void write_pixel_values(const PreparedPicture& picture, std::span<float> out) const = 0;

  /// What stands in the text for the picture, in place of its placeholder: kImageFeature where
  /// features go, and whatever tokens are around them.
  virtual std::vector<int64_t> tokens(const PreparedPicture& picture) const = 0;

  /// Of the canvas, in pixels, that the picture is fitted into.
  virtual ImageSize resolution(const PreparedPicture& picture) const = 0;
};

}  // namespace e5v::detail
