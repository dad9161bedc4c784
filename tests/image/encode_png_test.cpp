#include "e5v/image/encode_png.h"

#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/image/decode.h"
#include "tests/image/image_support.h"

namespace e5v::detail {
namespace {

TEST(EncodePngTest, DecodesToTheSamePixels) {
  for (const ImageSize size : {ImageSize{1, 1}, ImageSize{3, 200}, ImageSize{48, 48}}) {
    const Image image = formula_image(size.height, size.width);
    const std::string png = encode_png(image);
    const Image decoded = decode_image(std::as_bytes(std::span(png)), "made here");
    EXPECT_EQ(decoded.size(), size);
    EXPECT_EQ(decoded.rgb, image.rgb);
  }
}

TEST(EncodePngTest, APictureWithoutPixelsIsRefused) {
  EXPECT_THROW(encode_png(Image(0, 4)), InputError);
}

}  // namespace
}  // namespace e5v::detail
