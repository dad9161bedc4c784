#pragma once

#include <string>

#include "e5v/image.h"

namespace e5v::detail {

/// `image` as the bytes of a PNG file, 8-bit RGB. Throws InputError if it has no pixels.
std::string encode_png(const Image& image);

}  // namespace e5v::detail
