#include "e5v/image/orientation.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace e5v::detail {
namespace {

constexpr uint16_t kOrientationTag = 0x0112;
constexpr uint16_t kShort = 3;
constexpr uint16_t kLong = 4;

/// Reads integers of a TIFF block; a read beyond its end gives 0 and sets `failed`.
struct TiffReader {
  std::span<const std::byte> bytes;
  bool big_endian;
  bool failed = false;

  uint32_t integer(size_t at, size_t size) {
    if (at > bytes.size() || size > bytes.size() - at) {
      failed = true;
      return 0;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t byte = big_endian ? i : size - 1 - i;
      value = value << 8 | std::to_integer<uint32_t>(bytes[at + byte]);
    }
    return value;
  }
};

}  // namespace

std::optional<int> find_exif_orientation(std::span<const std::byte> exif) {
  while (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0) exif = exif.subspan(6);
  if (exif.size() < 8) return std::nullopt;
  const bool big_endian = std::memcmp(exif.data(), "MM", 2) == 0;
  if (!big_endian && std::memcmp(exif.data(), "II", 2) != 0) return std::nullopt;

  TiffReader tiff{exif, big_endian};
  const size_t directory = tiff.integer(4, 4);
  const size_t num_entries = tiff.integer(directory, 2);
  std::optional<int> orientation;
  for (size_t i = 0; i < num_entries && !tiff.failed; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (tiff.integer(entry, 2) != kOrientationTag) continue;
    const uint32_t type = tiff.integer(entry + 2, 2);
    if (type != kShort && type != kLong) continue;
    const uint32_t value = tiff.integer(entry + 8, type == kShort ? 2 : 4);
    if (!tiff.failed) orientation = value <= 8 ? static_cast<int>(value) : 1;
  }
  return orientation;
}

std::optional<int> find_xmp_orientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (size_t at = xmp.find(kName); at != xmp.npos; at = xmp.find(kName, at + 1)) {
    std::string_view rest = xmp.substr(at + kName.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swaps_sides = orientation >= 5;
  const int64_t height = swaps_sides ? image.width : image.height;
  const int64_t width = swaps_sides ? image.height : image.width;
  const bool mirrors_rows = orientation == 3 || orientation == 4 || orientation >= 7;
  const bool mirrors_columns =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;

  Image turned(height, width);
  for (int64_t y = 0; y < height; ++y) {
    const int64_t from_y = mirrors_rows ? height - 1 - y : y;
    uint8_t* out = turned.row(y);
    for (int64_t x = 0; x < width; ++x, out += 3) {
      const int64_t from_x = mirrors_columns ? width - 1 - x : x;
      const uint8_t* in =
          swaps_sides ? image.row(from_x) + from_y * 3 : image.row(from_y) + from_x * 3;
      std::copy_n(in, 3, out);
    }
  }
  return turned;
}

}  // namespace e5v::detail
