#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>

#include "e5v/base/error.h"
#include "e5v/image/decoders.h"
#include "e5v/image/orientation.h"

namespace e5v::detail {
namespace {

std::optional<std::span<const std::byte>> find_chunk(const WebPDemuxer* demuxer, const char* id) {
  WebPChunkIterator chunk;
  if (WebPDemuxGetChunk(demuxer, id, 1, &chunk) == 0) return std::nullopt;
  const std::span bytes(reinterpret_cast<const std::byte*>(chunk.chunk.bytes), chunk.chunk.size);
  WebPDemuxReleaseChunkIterator(&chunk);  // frees nothing that `bytes` points to
  return bytes;
}

int find_orientation(const WebPDemuxer* demuxer) {
  std::optional<int> orientation;
  if (const auto exif = find_chunk(demuxer, "EXIF")) orientation = find_exif_orientation(*exif);
  if (!orientation) {
    if (const auto xmp = find_chunk(demuxer, "XMP ")) {
      orientation = find_xmp_orientation({reinterpret_cast<const char*>(xmp->data()), xmp->size()});
    }
  }
  return orientation.value_or(1);
}

}  // namespace

DecodedImage decode_webp(const EncodedImage& encoded) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(encoded.data(), encoded.size(), &features);
  if (status != VP8_STATUS_OK) {
    throw FormatError(encoded.source, status == VP8_STATUS_NOT_ENOUGH_DATA
                                          ? fmt::format("the WebP header ends at byte {}; "
                                                        "incomplete download?",
                                                        encoded.size())
                                          : "the WebP header is damaged");
  }
  encoded.check_size({features.height, features.width});

  // The animation decoder draws also a still picture, and the first frame of an animation on its
  // canvas; Pillow uses it for both.
  const WebPData data{encoded.data(), encoded.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, nullptr), WebPAnimDecoderDelete);
  if (decoder == nullptr) {
    throw FormatError(
        encoded.source,
        fmt::format("the WebP file is damaged or ends early, at byte {}", encoded.size()));
  }
  WebPAnimInfo info;
  uint8_t* rgba = nullptr;
  int timestamp = 0;
  if (WebPAnimDecoderGetInfo(decoder.get(), &info) == 0 ||
      WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp) == 0) {
    throw FormatError(encoded.source, "the picture in the WebP file is damaged");
  }

  DecodedImage decoded{Image(info.canvas_height, info.canvas_width)};
  uint8_t* rgb = decoded.image.rgb.data();
  const int64_t num_pixels = decoded.image.height * decoded.image.width;
  for (int64_t i = 0; i < num_pixels; ++i, rgb += 3, rgba += 4) std::copy_n(rgba, 3, rgb);
  if (encoded.options.apply_exif_orientation) {
    decoded.orientation = find_orientation(WebPAnimDecoderGetDemuxer(decoder.get()));
  }
  return decoded;
}

}  // namespace e5v::detail
