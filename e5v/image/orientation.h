#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "e5v/image.h"

namespace e5v::detail {

/// The orientation (1..8) that an EXIF block holds, with or without its "Exif\0\0" mark; nullopt
/// where there is none or the block is damaged. Never throws.
std::optional<int> find_exif_orientation(std::span<const std::byte> exif);

/// The same from an XMP packet (tiff:Orientation).
std::optional<int> find_xmp_orientation(std::string_view xmp);

/// Turns `image` upright: orientation 1 leaves it, 2 mirrors, 3 turns by half, 4 flips, 5
/// transposes, 6 turns right, 7 transverses, 8 turns left; any other value leaves it.
Image apply_orientation(Image image, int orientation);

}  // namespace e5v::detail
