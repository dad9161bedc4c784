#include "e5v/image/decode.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/image/decoders.h"
#include "e5v/image/orientation.h"

namespace e5v::detail {
namespace {

using Decoder = DecodedImage (*)(const EncodedImage&);

Decoder find_decoder(std::string_view start) {
  if (start.starts_with("\xff\xd8\xff")) return decode_jpeg;
  if (start.starts_with("\x89PNG\r\n\x1a\n")) return decode_png;
  if (start.starts_with("RIFF") && start.find("WEBP") == 8) return decode_webp;
  if (start.starts_with("GIF87a") || start.starts_with("GIF89a")) return decode_gif;
  if (start.starts_with("BM")) return decode_bmp;
  return nullptr;
}

}  // namespace

void EncodedImage::check_size(ImageSize size) const {
  if (size.height <= 0 || size.width <= 0) {
    throw FormatError(source, fmt::format("the image is {} x {} pixels (w x h), expected at least "
                                          "1 x 1",
                                          size.width, size.height));
  }
  if (size.height > options.max_side || size.width > options.max_side ||
      size.height * size.width > options.max_pixels) {
    throw InputError(fmt::format(
        "{}: the image is {} x {} pixels (w x h), more than the limits of {} pixels and {} a side",
        printable(source, 4096), size.width, size.height, options.max_pixels, options.max_side));
  }
}

Image decode_image(std::span<const std::byte> bytes, std::string_view source,
                   const DecodeOptions& options) {
  if (bytes.empty()) throw FormatError(source, "the file is empty, expected an image");
  if (bytes.size() > static_cast<uint64_t>(options.max_bytes)) {
    throw InputError(fmt::format("{}: the image file has {} bytes, more than the limit of {}",
                                 printable(source, 4096), bytes.size(), options.max_bytes));
  }
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<size_t>(bytes.size(), 16));
  const Decoder decode = find_decoder(start);
  if (decode == nullptr) {
    throw FormatError(source, fmt::format("not a JPEG, PNG, WebP, GIF or BMP image; starts with "
                                          "'{}'",
                                          printable(start)));
  }
  DecodedImage decoded = decode({bytes, source, options});
  if (!options.apply_exif_orientation) return std::move(decoded.image);
  return apply_orientation(std::move(decoded.image), decoded.orientation);
}

Image load_image(const std::filesystem::path& path, const DecodeOptions& options) {
  const MappedFile file(path);
  return decode_image(file.bytes(), path.string(), options);
}

bool is_image_path(const std::filesystem::path& path) {
  std::string extension = path.extension().native();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array kExtensions = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"};
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

}  // namespace e5v::detail
