#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/image.h"
#include "e5v/image/anyres.h"
#include "e5v/image/image_processor_config.h"

namespace e5v::detail {

/// A picture cut up for the vision tower, still in bytes: a quarter of its pixel_values.
///
/// Shapes: n tiles, S tile_size.
struct ImageTiles {
  ImageSize original;        ///< the picture's own size: a row of `image_sizes`
  int64_t num_tiles = 0;     ///< n; the base tile first, then the others in raster order
  int64_t tile_size = 0;     ///< S
  std::vector<uint8_t> rgb;  ///< [n, S, S, 3]
};

/// Turns pictures into the vision tower's input, as transformers' LlavaNextImageProcessor (with
/// image_grid_pinpoints) or CLIPImageProcessor and LlavaImageProcessor (without) do with PIL: equal
/// bytes, and equal float32 values. The rule also chooses PIL's order of resizing: that of Pillow
/// 13, or with the rule of 4.41 that of all Pillows before.
///
/// Immutable; every method is const and thread-safe.
class ImageProcessor {
 public:
  explicit ImageProcessor(const ImageProcessorConfig& config,
                          ImageProcessing rule = ImageProcessing::kCurrent);

  /// Reads preprocessor_config.json of a checkpoint folder or, without one, `image_processor` in
  /// processor_config.json. Throws FileError, FormatError, or ConfigError naming file and field.
  static ImageProcessor load(const std::filesystem::path& model_dir,
                             ImageProcessing rule = ImageProcessing::kCurrent);

  const ImageProcessorConfig& config() const { return config_; }
  ImageProcessing rule() const { return rule_; }
  /// Whether pictures are tiled (LLaVA-NeXT) or become a single tile.
  bool is_anyres() const { return !config_.image_grid_pinpoints.empty(); }

  /// Cuts up a picture. Throws InputError if it is empty or too thin to be resized.
  ImageTiles tiles(const Image& image) const;

  /// float32 pixel_values [n, 3, S, S] of `tiles`, written to `out`, which has room for
  /// n * 3 * S * S values.
  void write_pixel_values(const ImageTiles& tiles, std::span<float> out) const;
  /// The same of the tiles' bytes alone, [n, S, S, 3].
  void write_pixel_values(std::span<const uint8_t> rgb, std::span<float> out) const;
  std::vector<float> pixel_values(const ImageTiles& tiles) const;

  /// How a picture's features become tokens. Only for an is_anyres() processor; `patch_size` is the
  /// vision tower's.
  AnyresLayout layout(ImageSize original, int64_t patch_size) const;
  /// Tokens that stand for a picture of this size. Throws ConfigError if the tile is not made of
  /// whole patches.
  int64_t num_tokens(ImageSize original, int64_t patch_size) const;

 private:
  ResizeOrder resize_order() const;
  std::vector<Image> cut(const Image& image) const;
  Image fit_tile(Image tile) const;

  ImageProcessorConfig config_;
  ImageProcessing rule_;
  std::array<std::array<float, 256>, 3> pixel_value_of_byte_;  ///< by channel
};

}  // namespace e5v::detail
