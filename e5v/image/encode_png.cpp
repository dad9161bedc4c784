#include "e5v/image/encode_png.h"

#include <png.h>

#include "e5v/base/error.h"

namespace e5v::detail {

std::string encode_png(const Image& image) {
  if (image.height < 1 || image.width < 1) {
    throw InputError(
        fmt::format("a picture of {} x {} pixels cannot be a PNG", image.width, image.height));
  }
  png_image description{};
  description.version = PNG_IMAGE_VERSION;
  description.width = static_cast<png_uint_32>(image.width);
  description.height = static_cast<png_uint_32>(image.height);
  description.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(description);
  std::string bytes(size, '\0');
  const int written =
      png_image_write_to_memory(&description, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr);
  if (written == 0) {
    throw InputError(fmt::format("a picture of {} x {} pixels cannot be a PNG: {}", image.width,
                                 image.height, description.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace e5v::detail
