#include "e5v/families/llava_picture_rules.h"

#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// Tiles must be cut as the model will arrange them.
void require_matching(const ImageProcessorConfig& images, const LlavaConfig& config) {
  if (images.tile_size() != config.vision.image_size) {
    throw ConfigError(
        fmt::format("the image processor makes tiles of {} pixels, the vision tower takes {}",
                    images.tile_size(), config.vision.image_size));
  }
  std::vector<std::pair<int64_t, int64_t>> pinpoints;
  for (const ImageSize& size : images.image_grid_pinpoints) {
    pinpoints.emplace_back(size.height, size.width);
  }
  if (pinpoints != config.image_grid_pinpoints) {
    throw ConfigError("'image_grid_pinpoints' of the image processor and of config.json differ");
  }
}

}  // namespace

LlavaPictureRules::LlavaPictureRules(ImageProcessor processor, const LlavaConfig& config)
    : processor_(std::move(processor)),
      patch_size_(config.vision.patch_size),
      features_per_tile_(config.features_per_tile()) {
  require_matching(processor_.config(), config);
}

PreparedPicture LlavaPictureRules::prepare(const Image& image) const {
  ImageTiles tiles = processor_.tiles(image);
  PreparedPicture picture{.original = tiles.original,
                          .num_rows = tiles.num_tiles,
                          .rgb = std::move(tiles.rgb),
                          .layout = {}};
  if (processor_.is_anyres()) {
    picture.layout.anyres = processor_.layout(picture.original, patch_size_);
  }
  return picture;
}

std::vector<int64_t> LlavaPictureRules::row_shape() const {
  const int64_t side = processor_.config().tile_size();
  return {3, side, side};
}

void LlavaPictureRules::write_pixel_values(const PreparedPicture& picture,
                                           std::span<float> out) const {
  processor_.write_pixel_values(picture.rgb, out);
}

std::vector<int64_t> LlavaPictureRules::tokens(const PreparedPicture& picture) const {
  const auto& anyres = picture.layout.anyres;
  const int64_t count = anyres ? anyres->num_tokens() : features_per_tile_;
  return std::vector<int64_t>(static_cast<size_t>(count), kImageFeature);
}

ImageSize LlavaPictureRules::resolution(const PreparedPicture& picture) const {
  const int64_t side = processor_.config().tile_size();
  return picture.layout.anyres ? picture.layout.anyres->best_resolution : ImageSize{side, side};
}

}  // namespace e5v::detail
