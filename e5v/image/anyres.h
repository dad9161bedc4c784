#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "e5v/image.h"

namespace e5v::detail {

/// Which generation of transformers the AnyRes arithmetic follows. They differ where the padding is
/// odd (about half of all picture sizes) and, rarely, in how many patches are kept.
enum class ImageProcessing {
  /// transformers since 2025, and LLaVA's own code: the padded canvas has the best resolution.
  kCurrent,
  /// transformers 4.41, with which E5-V's figures were made: both sides get half the padding,
  /// rounded down, so the canvas may be a pixel short; its last tiles are then stretched and
  /// cropped.
  k4_41,
};

/// The rule called `current` or `4.41`, or nullopt.
std::optional<ImageProcessing> find_image_processing(std::string_view name);
std::string_view image_processing_name(ImageProcessing rule);

/// The resolution of `image_grid_pinpoints` that keeps the most of a picture, then wastes the
/// fewest pixels; the first one wins ties. Throws InputError if there is none or a size is empty.
ImageSize select_best_resolution(ImageSize original, std::span<const ImageSize> pinpoints);

/// The size of a picture shrunk or enlarged to fit into `target` with its aspect ratio.
ImageSize fit_into(ImageSize original, ImageSize target);

/// How the patch features of one picture become a sequence of image tokens: the base tile's
/// patches, then each kept row of the stitched tiles followed by one newline.
struct AnyresLayout {
  ImageSize best_resolution;     ///< pixels
  int64_t grid_height = 0;       ///< tiles below each other
  int64_t grid_width = 0;        ///< tiles beside each other
  int64_t patches_per_side = 0;  ///< of a tile
  /// The patches of the stitched grid, [grid_height * patches_per_side, grid_width *
  /// patches_per_side], that do not stand for padding. A count may be 0 for a thin line: no kept
  /// rows leave the base tile alone, no kept columns leave kept_rows newlines.
  int64_t first_row = 0;
  int64_t kept_rows = 0;
  int64_t first_column = 0;
  int64_t kept_columns = 0;

  int64_t num_tiles() const { return 1 + grid_height * grid_width; }
  int64_t num_tokens() const {
    return patches_per_side * patches_per_side + kept_rows * (kept_columns + 1);
  }
};

/// The layout for a picture of `original` size. `tile_size` is the vision tower's `image_size`.
/// Throws InputError as select_best_resolution does, or if the best resolution has no whole tile.
AnyresLayout anyres_layout(ImageSize original, std::span<const ImageSize> pinpoints,
                           int64_t tile_size, int64_t patches_per_side, ImageProcessing rule);

}  // namespace e5v::detail
