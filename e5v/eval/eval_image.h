#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "e5v/eval/text_image.h"
#include "e5v/image.h"

namespace e5v::detail {

/// A picture of a data set: a file, or a text that is drawn.
struct EvalImage {
  std::string id;
  std::filesystem::path path;  ///< empty = `drawn_text`
  std::string drawn_text;
};

/// The picture's pixels. The EXIF orientation is ignored, as the published evaluation ignores it.
/// `renderer` is made on first use. Throws as load_image and TextImageRenderer.
Image load_eval_image(const EvalImage& image, const TextImageOptions& text_image,
                      std::optional<TextImageRenderer>& renderer);

}  // namespace e5v::detail
