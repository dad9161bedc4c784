#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace e5v {

/// Height and width in pixels: the order of `image_sizes` and `image_grid_pinpoints`.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;

  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// A picture as every step before normalisation sees it: 8-bit RGB, no alpha, no colour profile.
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> rgb{};  ///< [height, width, 3], row-major, interleaved

  Image() = default;
  /// A black picture.
  Image(int64_t height, int64_t width)
      : height(height), width(width), rgb(static_cast<size_t>(height * width * 3)) {}

  ImageSize size() const { return {height, width}; }
  uint8_t* row(int64_t y) { return rgb.data() + y * width * 3; }
  const uint8_t* row(int64_t y) const { return rgb.data() + y * width * 3; }
};

}  // namespace e5v
