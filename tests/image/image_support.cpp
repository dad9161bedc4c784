#include "tests/image/image_support.h"

#include <fmt/format.h>

#include <array>

namespace e5v::detail {

std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(E5V_SOURCE_DIR) / "tests" / "goldens" / name;
}

Json read_golden(const std::string& name) { return read_json(golden_folder(name) / "golden.json"); }

std::string crc32(std::span<const uint8_t> bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      table[byte] = byte;
      for (int bit = 0; bit < 8; ++bit) {
        table[byte] = (table[byte] >> 1) ^ (table[byte] & 1 ? 0xedb88320 : 0);
      }
    }
    return table;
  }();
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ byte) & 255];
  return fmt::format("{:08x}", ~crc);
}

Image formula_image(int64_t height, int64_t width) {
  Image image(height, width);
  uint8_t* out = image.rgb.data();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t curve = (x * x + 3 * y * y + x * y) >> 5;
      for (int64_t c = 0; c < 3; ++c) {
        *out++ = static_cast<uint8_t>(x * (5 + c) + y * (3 + 2 * c) + curve + 60 * c);
      }
    }
  }
  return image;
}

ImageSize json_size(const Json& pair) { return {pair[0].get<int64_t>(), pair[1].get<int64_t>()}; }

}  // namespace e5v::detail
