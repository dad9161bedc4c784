#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "e5v/image/anyres.h"  // ImageProcessing
#include "e5v/image/image_processor_config.h"
#include "e5v/model/picture_rules.h"

namespace e5v::detail {

/// What preprocessor_config.json of a Qwen2-VL, Qwen2.5-VL or Qwen3-VL says. Absent fields have the
/// defaults of transformers' Qwen2VLImageProcessor.
struct QwenVlImageConfig : PixelScale {
  int64_t patch_size = 14;  ///< pixels
  int64_t temporal_patch_size = 2;
  int64_t merge_size = 2;  ///< patches a side of a cell, which becomes one token
  /// Bounds of a resized picture's area, in pixels: `min_pixels`, `max_pixels`, else `size`'s
  /// `shortest_edge` and `longest_edge`, which are areas, too.
  int64_t min_pixels = 56 * 56;
  int64_t max_pixels = 28 * 28 * 1280;
  bool do_resize = true;
  Resample resample = Resample::kBicubic;

  int64_t cell_size() const { return patch_size * merge_size; }

  /// Throws ConfigError naming the field, also for the image processors of other families.
  static QwenVlImageConfig from_json(const Json& json);
  void validate() const;
};

/// The size that a picture is resized to: whole cells of `cell_size` pixels, as near to its own
/// size and shape as the bounds of the area allow. Throws InputError if it is empty or one side is
/// over 200 times the other.
ImageSize smart_resize(ImageSize original, int64_t cell_size, int64_t min_pixels,
                       int64_t max_pixels);

/// Patches: the whole picture, resized to whole cells, as one grid. Rows of pixel_values are
/// patches [3 · temporal_patch_size · p · p] (channel, frame, y, x), cell by cell; a still is its
/// own next frame.
class QwenVlPictureRules final : public PictureRules {
 public:
  QwenVlPictureRules(const QwenVlImageConfig& config, ImageProcessing rule);

  const QwenVlImageConfig& config() const { return config_; }

  PreparedPicture prepare(const Image& image) const override;
  std::vector<int64_t> row_shape() const override;
  void write_pixel_values(const PreparedPicture& picture, std::span<float> out) const override;
  std::vector<int64_t> tokens(const PreparedPicture& picture) const override;
  ImageSize resolution(const PreparedPicture& picture) const override;

 private:
  QwenVlImageConfig config_;
  ResizeOrder order_;
  std::array<std::array<float, 256>, 3> pixel_value_of_byte_;  ///< by channel
};

}  // namespace e5v::detail
