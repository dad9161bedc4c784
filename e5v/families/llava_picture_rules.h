#pragma once

#include "e5v/families/llava_config.h"
#include "e5v/image/image_processor.h"
#include "e5v/model/picture_rules.h"

namespace e5v::detail {

/// Tiles: of LLaVA-NeXT the whole picture small, then the tiles of its grid; of LLaVA-1.5 one. Rows
/// of pixel_values are tiles [3, S, S].
class LlavaPictureRules final : public PictureRules {
 public:
  /// Throws ConfigError if the processor does not cut pictures as the model will arrange them.
  LlavaPictureRules(ImageProcessor processor, const LlavaConfig& config);

  PreparedPicture prepare(const Image& image) const override;
  std::vector<int64_t> row_shape() const override;
  void write_pixel_values(const PreparedPicture& picture, std::span<float> out) const override;
  std::vector<int64_t> tokens(const PreparedPicture& picture) const override;
  ImageSize resolution(const PreparedPicture& picture) const override;

 private:
  ImageProcessor processor_;
  int64_t patch_size_;
  int64_t features_per_tile_;
};

}  // namespace e5v::detail
