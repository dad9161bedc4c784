#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "e5v/base/json.h"
#include "e5v/image.h"

namespace e5v::detail {

/// tests/goldens/<name>.
std::filesystem::path golden_folder(const std::string& name);
/// Its golden.json.
Json read_golden(const std::string& name);

/// The CRC-32 (of zlib and PNG) as the goldens have it: eight hexadecimal digits.
std::string crc32(std::span<const uint8_t> bytes);
template <class T>
std::string crc32_of_values(std::span<const T> values) {
  return crc32({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
}

/// The picture that the goldens of resizing and tiling are made from: ramps that wrap around.
Image formula_image(int64_t height, int64_t width);

/// [height, width] in JSON.
ImageSize json_size(const Json& pair);

}  // namespace e5v::detail
