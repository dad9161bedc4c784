// A picture's bytes, up to the tiles that the model sees. The first byte chooses what is done with
// them.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "e5v/base/error.h"
#include "e5v/image/decode.h"
#include "e5v/image/image_processor.h"

using namespace e5v;
using namespace e5v::detail;

namespace {

/// Small tiles, so that a run looks at many pictures.
ImageProcessor processor(bool tiled) {
  ImageProcessorConfig config;
  config.shortest_edge = 28;
  config.crop_size = {28, 28};
  if (tiled) config.image_grid_pinpoints = {{28, 56}, {56, 28}, {56, 56}};
  return ImageProcessor(config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ImageProcessor tiled = processor(true), whole = processor(false);
  if (size == 0) return -1;
  const DecodeOptions options{.apply_exif_orientation = (data[0] & 1) != 0,
                              .max_pixels = 1 << 18,
                              .max_side = 1 << 14,
                              .max_bytes = 1 << 16};
  try {
    const Image image = decode_image(std::as_bytes(std::span(data + 1, size - 1)), "fuzz", options);
    if (image.width < 1 || image.height < 1 || image.width * image.height > options.max_pixels) {
      std::abort();
    }
    const ImageProcessor& chosen = (data[0] & 2) != 0 ? tiled : whole;
    const ImageTiles tiles = chosen.tiles(image);
    if (tiles.rgb.size() !=
        static_cast<size_t>(tiles.num_tiles * tiles.tile_size * tiles.tile_size * 3)) {
      std::abort();
    }
    chosen.pixel_values(tiles);
  } catch (const Error&) {
  }
  return 0;
}
