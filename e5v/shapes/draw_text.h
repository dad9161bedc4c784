#pragma once

#include <cstdint>
#include <string_view>

#include "e5v/image.h"

namespace e5v::detail {

/// A picture of side x side pixels with `text` written on it in black on white, lines broken at
/// blanks, vertically centred. The letters a to z and . , : ? are 5 x 8 pixels; capitals are drawn
/// as small letters, anything else as boxes. Throws InputError if the text does not fit.
Image draw_text(std::string_view text, int64_t side);

}  // namespace e5v::detail
