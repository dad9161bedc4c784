#include "e5v/image/image_processor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/image/resize.h"

namespace e5v::detail {
namespace {

/// A thin line that is padded to a square, or whose shorter side is enlarged, grows without limit;
/// more pixels than this are refused.
constexpr double kMaxGrownPixels = 178'956'970;

void check_grown(const Image& image, double num_pixels) {
  if (num_pixels <= kMaxGrownPixels) return;
  throw InputError(
      fmt::format("an image of {} x {} pixels (w x h) is too thin: made as wide or high "
                  "as it must be, it would have over {} pixels",
                  image.width, image.height, kMaxGrownPixels));
}

/// Resizes as PIL did at the time of the rule.
struct Resizer {
  Resample resample;
  ResizeOrder order;

  Image operator()(const Image& image, ImageSize size) const {
    return resize(image, size, resample, order);
  }
};

/// A black picture of `size` with `image` at (top, left); what lies outside is cut off.
Image place(const Image& image, ImageSize size, int64_t top, int64_t left,
            std::array<uint8_t, 3> background = {0, 0, 0}) {
  Image canvas(size.height, size.width);
  if (background != std::array<uint8_t, 3>{}) {
    for (size_t i = 0; i < canvas.rgb.size(); ++i) canvas.rgb[i] = background[i % 3];
  }
  const int64_t first_column = std::max<int64_t>(0, left);
  const int64_t end_column = std::min(size.width, left + image.width);
  const int64_t end_row = std::min(size.height, top + image.height);
  for (int64_t y = std::max<int64_t>(0, top); y < end_row && first_column < end_column; ++y) {
    const uint8_t* from = image.row(y - top) + (first_column - left) * 3;
    std::copy_n(from, (end_column - first_column) * 3, canvas.row(y) + first_column * 3);
  }
  return canvas;
}

/// transformers' center_crop: the offset is floored; a picture smaller than the crop is padded
/// with black, the odd pixel before it.
Image center_crop(const Image& image, ImageSize size) {
  const auto offset = [](int64_t crop, int64_t side) {
    return crop > side ? (crop - side + 1) / 2 : -((side - crop) / 2);
  };
  return place(image, size, offset(size.height, image.height), offset(size.width, image.width));
}

Image resize_shortest_edge(const Image& image, int64_t shortest_edge, const Resizer& resizer) {
  const auto [shorter, longer] = std::minmax(image.height, image.width);
  const double long_edge =
      static_cast<double>(shortest_edge * longer) / static_cast<double>(shorter);
  check_grown(image, long_edge * static_cast<double>(shortest_edge));
  const auto longest_edge = static_cast<int64_t>(long_edge);
  const bool is_upright = image.width <= image.height;
  return resizer(image, is_upright ? ImageSize{longest_edge, shortest_edge}
                                   : ImageSize{shortest_edge, longest_edge});
}

Image pad_to_square(const Image& image, const std::array<double, 3>& mean) {
  const int64_t side = std::max(image.height, image.width);
  check_grown(image, static_cast<double>(side) * static_cast<double>(side));
  std::array<uint8_t, 3> background;
  for (int c = 0; c < 3; ++c)
    background[c] = static_cast<uint8_t>(std::clamp(mean[c] * 255, 0.0, 255.0));
  return place(image, {side, side}, (side - image.height) / 2, (side - image.width) / 2,
               background);
}

/// The picture fitted into the best resolution, on a black canvas of that size.
Image fit_to_canvas(const Image& image, ImageSize target, const Resizer& resizer,
                    ImageProcessing rule) {
  const Image fitted = resizer(image, fit_into(image.size(), target));
  const int64_t top = (target.height - fitted.height) / 2;
  const int64_t left = (target.width - fitted.width) / 2;
  if (rule == ImageProcessing::k4_41) {  // as much on the other side, be the padding odd or not
    target = {fitted.height + 2 * top, fitted.width + 2 * left};
  }
  return place(fitted, target, top, left);
}

}  // namespace

ImageProcessor::ImageProcessor(const ImageProcessorConfig& config, ImageProcessing rule)
    : config_(config), rule_(rule), pixel_value_of_byte_(config.values()) {
  config_.validate();
}

ImageProcessor ImageProcessor::load(const std::filesystem::path& model_dir, ImageProcessing rule) {
  return read_image_processor(model_dir, [&](const Json& json) {
    return ImageProcessor(ImageProcessorConfig::from_json(json), rule);
  });
}

ResizeOrder ImageProcessor::resize_order() const {
  return rule_ == ImageProcessing::kCurrent ? ResizeOrder::kPillow13 : ResizeOrder::kRowsFirst;
}

Image ImageProcessor::fit_tile(Image tile) const {
  const Resizer resizer{config_.resample, resize_order()};
  if (config_.do_resize) {
    if (config_.shortest_edge != 0) {
      tile = resize_shortest_edge(tile, config_.shortest_edge, resizer);
    } else {
      tile = resizer(tile, config_.size);
    }
  }
  if (config_.do_center_crop && tile.size() != config_.crop_size) {
    tile = center_crop(tile, config_.crop_size);
  }
  return tile;
}

std::vector<Image> ImageProcessor::cut(const Image& image) const {
  std::vector<Image> tiles;
  if (!is_anyres()) {
    tiles.push_back(config_.pad_to_square ? pad_to_square(image, config_.image_mean) : image);
    return tiles;
  }
  const ImageSize base = config_.shortest_edge != 0
                             ? ImageSize{config_.shortest_edge, config_.shortest_edge}
                             : config_.size;
  const Resizer resizer{config_.resample, resize_order()};
  tiles.push_back(resizer(image, base));

  const ImageSize target = select_best_resolution(image.size(), config_.image_grid_pinpoints);
  const Image canvas = fit_to_canvas(image, target, resizer, rule_);
  const int64_t side = config_.tile_size();
  for (int64_t top = 0; top < canvas.height; top += side) {
    for (int64_t left = 0; left < canvas.width; left += side) {
      const ImageSize size{std::min(side, canvas.height - top),
                           std::min(side, canvas.width - left)};
      tiles.push_back(place(canvas, size, -top, -left));
    }
  }
  return tiles;
}

ImageTiles ImageProcessor::tiles(const Image& image) const {
  if (image.height < 1 || image.width < 1) {
    throw InputError(fmt::format("an image of {} x {} pixels (w x h) has nothing to embed",
                                 image.width, image.height));
  }
  ImageTiles result;
  result.original = image.size();
  result.tile_size = config_.tile_size();
  for (Image& tile : cut(image)) {
    const Image fitted = fit_tile(std::move(tile));
    if (fitted.size() != ImageSize{result.tile_size, result.tile_size}) {
      throw InputError(
          fmt::format("a tile has {} x {} pixels (w x h), expected {} x {}; the image "
                      "processor's configuration does not crop",
                      fitted.width, fitted.height, result.tile_size, result.tile_size));
    }
    result.rgb.insert(result.rgb.end(), fitted.rgb.begin(), fitted.rgb.end());
    ++result.num_tiles;
  }
  return result;
}

void ImageProcessor::write_pixel_values(const ImageTiles& tiles, std::span<float> out) const {
  E5V_ASSERT(tiles.tile_size == config_.tile_size());
  write_pixel_values(tiles.rgb, out);
}

void ImageProcessor::write_pixel_values(std::span<const uint8_t> rgb, std::span<float> out) const {
  const auto plane = static_cast<size_t>(config_.tile_size() * config_.tile_size());
  E5V_ASSERT(rgb.size() % (3 * plane) == 0 && out.size() >= rgb.size());
  const uint8_t* byte = rgb.data();
  for (float* planes = out.data(); byte != rgb.data() + rgb.size(); planes += 3 * plane) {
    for (size_t i = 0; i < plane; ++i, byte += 3) {
      for (size_t c = 0; c < 3; ++c) planes[c * plane + i] = pixel_value_of_byte_[c][byte[c]];
    }
  }
}

std::vector<float> ImageProcessor::pixel_values(const ImageTiles& tiles) const {
  std::vector<float> values(tiles.rgb.size());
  write_pixel_values(tiles, values);
  return values;
}

AnyresLayout ImageProcessor::layout(ImageSize original, int64_t patch_size) const {
  E5V_ASSERT(is_anyres());
  const int64_t tile = config_.tile_size();
  if (patch_size < 1 || tile % patch_size != 0) {
    throw ConfigError(fmt::format("'patch_size' is {}, expected a divisor of the tile's {} pixels",
                                  patch_size, tile));
  }
  return anyres_layout(original, config_.image_grid_pinpoints, tile, tile / patch_size, rule_);
}

int64_t ImageProcessor::num_tokens(ImageSize original, int64_t patch_size) const {
  if (is_anyres()) return layout(original, patch_size).num_tokens();
  const int64_t tile = config_.tile_size();
  if (patch_size < 1 || tile % patch_size != 0) {
    throw ConfigError(fmt::format("'patch_size' is {}, expected a divisor of the tile's {} pixels",
                                  patch_size, tile));
  }
  const int64_t patches = tile / patch_size;
  return patches * patches;
}

}  // namespace e5v::detail
