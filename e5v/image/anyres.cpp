#include "e5v/image/anyres.h"

#include <algorithm>
#include <cmath>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

void check_not_empty(ImageSize size) {
  if (size.height < 1 || size.width < 1) {
    throw InputError(
        fmt::format("an image of {} x {} pixels (w x h) has no tiles", size.width, size.height));
  }
}

/// `int(round(x, 7))` of Python, x >= 0: a product that floating point left a hair below an integer
/// counts as that integer.
int64_t floor_after_rounding(double x) {
  const double next = std::ceil(x);
  // round(x, 7) reaches `next` where x is at most half a unit of the 7th decimal below it.
  return static_cast<int64_t>(next - x <= 0.5e-7 ? next : std::floor(x));
}

/// How many of `padded` patches along the shorter direction are not padding.
int64_t kept_patches(int64_t padded, int64_t original_side, double scale, ImageProcessing rule) {
  const double exact = static_cast<double>(original_side) * scale;
  const int64_t unpadded =
      rule == ImageProcessing::kCurrent ? floor_after_rounding(exact) : static_cast<int64_t>(exact);
  const int64_t padding = (padded - unpadded) / 2;
  return std::max<int64_t>(0, padded - 2 * padding);
}

}  // namespace

std::optional<ImageProcessing> find_image_processing(std::string_view name) {
  if (name == "current") return ImageProcessing::kCurrent;
  if (name == "4.41") return ImageProcessing::k4_41;
  return std::nullopt;
}

std::string_view image_processing_name(ImageProcessing rule) {
  return rule == ImageProcessing::kCurrent ? "current" : "4.41";
}

ImageSize select_best_resolution(ImageSize original, std::span<const ImageSize> pinpoints) {
  check_not_empty(original);
  const auto width = static_cast<double>(original.width);
  const auto height = static_cast<double>(original.height);
  ImageSize best;
  int64_t max_effective = -1;  // a thin line can have 0 everywhere
  int64_t min_wasted = 0;
  for (const ImageSize& pinpoint : pinpoints) {
    const double scale = std::min(static_cast<double>(pinpoint.width) / width,
                                  static_cast<double>(pinpoint.height) / height);
    const int64_t scaled =
        static_cast<int64_t>(width * scale) * static_cast<int64_t>(height * scale);
    const int64_t effective = std::min(scaled, original.height * original.width);
    const int64_t wasted = pinpoint.height * pinpoint.width - effective;
    if (effective > max_effective || (effective == max_effective && wasted < min_wasted)) {
      max_effective = effective;
      min_wasted = wasted;
      best = pinpoint;
    }
  }
  if (max_effective < 0) throw InputError("there is no resolution in image_grid_pinpoints");
  return best;
}

ImageSize fit_into(ImageSize original, ImageSize target) {
  check_not_empty(original);
  const double scale_width =
      static_cast<double>(target.width) / static_cast<double>(original.width);
  const double scale_height =
      static_cast<double>(target.height) / static_cast<double>(original.height);
  if (scale_width < scale_height) {
    const double height = std::ceil(static_cast<double>(original.height) * scale_width);
    return {std::min(static_cast<int64_t>(height), target.height), target.width};
  }
  const double width = std::ceil(static_cast<double>(original.width) * scale_height);
  return {target.height, std::min(static_cast<int64_t>(width), target.width)};
}

AnyresLayout anyres_layout(ImageSize original, std::span<const ImageSize> pinpoints,
                           int64_t tile_size, int64_t patches_per_side, ImageProcessing rule) {
  AnyresLayout layout;
  layout.best_resolution = select_best_resolution(original, pinpoints);
  layout.grid_height = layout.best_resolution.height / tile_size;
  layout.grid_width = layout.best_resolution.width / tile_size;
  layout.patches_per_side = patches_per_side;
  const int64_t rows = layout.grid_height * patches_per_side;
  const int64_t columns = layout.grid_width * patches_per_side;
  if (rows < 1 || columns < 1) {
    throw InputError(
        fmt::format("the resolution {} x {} (w x h) of image_grid_pinpoints has no "
                    "whole tile of {} pixels",
                    layout.best_resolution.width, layout.best_resolution.height, tile_size));
  }
  layout.kept_rows = rows;
  layout.kept_columns = columns;
  const double aspect = static_cast<double>(original.width) / static_cast<double>(original.height);
  if (aspect > static_cast<double>(columns) / static_cast<double>(rows)) {
    const double scale = static_cast<double>(columns) / static_cast<double>(original.width);
    layout.kept_rows = kept_patches(rows, original.height, scale, rule);
    layout.first_row = (rows - layout.kept_rows) / 2;
  } else {
    const double scale = static_cast<double>(rows) / static_cast<double>(original.height);
    layout.kept_columns = kept_patches(columns, original.width, scale, rule);
    layout.first_column = (columns - layout.kept_columns) / 2;
  }
  return layout;
}

}  // namespace e5v::detail
