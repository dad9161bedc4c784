#pragma once

#include <cstdint>
#include <optional>

#include "e5v/image/anyres.h"

namespace e5v::detail {

/// The id that stands for an image feature among token ids.
inline constexpr int64_t kImageFeature = -1;

/// How the features of one picture become tokens.
struct ImageLayout {
  /// Which features stay after unpadding, and where newlines go; nullopt: all features, in order.
  std::optional<AnyresLayout> anyres;
  /// Patches below and beside each other, where the picture is one grid of them (Qwen-VL).
  std::optional<ImageSize> grid;
};

}  // namespace e5v::detail
