#pragma once

#include <cstdint>

#include "e5v/base/random.h"
#include "e5v/image.h"
#include "e5v/shapes/scene.h"

namespace e5v::detail {

/// Draws `scene` as a picture of side x side pixels (24 to 1024): on a grid of 3 x 3 fields, in
/// a row or column of its own choice, anti-aliased; places, sizes and colours waver a little, and
/// each pixel has noise (standard deviation 3 %).
///
/// The same `random` gives the same pixels on every machine: nothing but additions, products,
/// quotients and square roots, which IEEE 754 rounds in one way.
Image draw_scene(const Scene& scene, int64_t side, SplitMix64& random);

}  // namespace e5v::detail
