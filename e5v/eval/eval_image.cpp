#include "e5v/eval/eval_image.h"

#include "e5v/image/decode.h"

namespace e5v::detail {

Image load_eval_image(const EvalImage& image, const TextImageOptions& text_image,
                      std::optional<TextImageRenderer>& renderer) {
  if (!image.path.empty()) return load_image(image.path, {.apply_exif_orientation = false});
  if (!renderer) renderer.emplace(text_image);
  return renderer->render(image.drawn_text);
}

}  // namespace e5v::detail
