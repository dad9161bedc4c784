#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "e5v/image.h"

namespace e5v::detail {

struct DecodeOptions {
  /// Turn the picture as its EXIF (or XMP) orientation says, like PIL's ImageOps.exif_transpose.
  /// Image.open, and so the published evaluation, ignores it: off for parity with that.
  bool apply_exif_orientation = true;
  /// Most pixels a picture may have, read from its header before anything of that size is
  /// allocated. The default is where Pillow refuses. Decoding needs up to 12 bytes a pixel.
  int64_t max_pixels = 178'956'970;
  /// Longest side in pixels.
  int64_t max_side = 1'000'000;
  /// Longest encoded file in bytes.
  int64_t max_bytes = int64_t{1} << 30;
};

/// Decodes a JPEG, PNG, WebP, GIF (first frame) or BMP file, told apart by its first bytes, to the
/// pixels of PIL's `Image.open(…).convert("RGB")`: alpha is dropped, not composited; 16-bit gray
/// saturates at 255, other 16-bit samples lose their low byte; CMYK is taken as Adobe writes it
/// (inverted); colour profiles are ignored. What Pillow tolerates in a damaged file is tolerated,
/// a file whose pixels are not all there is not.
///
/// `source` names the bytes in errors.
/// Throws FormatError (damaged, truncated, of another format, or of a kind that is not supported)
/// or InputError (a limit of `options`). Thread-safe.
Image decode_image(std::span<const std::byte> bytes, std::string_view source,
                   const DecodeOptions& options = {});

/// The same for a file. Throws FileError too.
Image load_image(const std::filesystem::path& path, const DecodeOptions& options = {});

/// True if the path ends as the files of the known formats do, in either case: .jpg .jpeg .png
/// .webp .gif .bmp. What folders are searched for.
bool is_image_path(const std::filesystem::path& path);

}  // namespace e5v::detail
