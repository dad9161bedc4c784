#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "e5v/image/decode.h"

// What decode.cpp shares with the file formats; not for use outside this folder.

namespace e5v::detail {

/// An encoded picture in memory, its name for errors, and the limits on it.
struct EncodedImage {
  std::span<const std::byte> bytes;
  std::string_view source;
  const DecodeOptions& options;

  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(bytes.data()); }
  size_t size() const { return bytes.size(); }

  /// Throws FormatError if a side is 0, InputError if `size` breaks a limit of the options.
  void check_size(ImageSize size) const;
};

/// RGB by index, as Pillow reads it: black beyond the entries of the file, except where these are a
/// plain ramp of grays (or absent) and extend_ramp() is called: then every index is its own shade.
class Palette {
 public:
  /// Appends a colour; the 257th and later ones are ignored.
  void push(uint8_t red, uint8_t green, uint8_t blue) {
    if (size_ == 256) return;
    is_ramp_ = is_ramp_ && red == size_ && green == size_ && blue == size_;
    uint8_t* color = &rgb_[size_++ * 3];
    color[0] = red;
    color[1] = green;
    color[2] = blue;
  }
  void extend_ramp() {
    while (is_ramp_ && size_ < 256) {
      const auto shade = static_cast<uint8_t>(size_);
      push(shade, shade, shade);
    }
  }
  /// The three bytes of `index`, below 256.
  const uint8_t* operator[](size_t index) const { return &rgb_[index * 3]; }

 private:
  std::array<uint8_t, 256 * 3> rgb_{};
  size_t size_ = 0;
  bool is_ramp_ = true;
};

struct DecodedImage {
  Image image;
  int orientation = 1;  ///< EXIF's 1..8; read only where options.apply_exif_orientation
};

DecodedImage decode_jpeg(const EncodedImage& encoded);
DecodedImage decode_png(const EncodedImage& encoded);
DecodedImage decode_webp(const EncodedImage& encoded);
DecodedImage decode_gif(const EncodedImage& encoded);
DecodedImage decode_bmp(const EncodedImage& encoded);

}  // namespace e5v::detail
