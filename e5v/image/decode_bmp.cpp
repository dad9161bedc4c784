#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/image/decoders.h"

namespace e5v::detail {
namespace {

constexpr size_t kFileHeaderBytes = 14;
enum Compression : uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitfields = 3 };

/// Little-endian integers of the file, with a FormatError where it ends.
struct Bytes {
  const EncodedImage& encoded;

  uint32_t integer(size_t at, size_t size) const {
    if (at + size > encoded.size()) throw_truncated();
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint32_t{encoded.data()[at + i]} << (8 * i);
    return value;
  }
  [[noreturn]] void throw_truncated() const {
    throw FormatError(encoded.source, fmt::format("the BMP data ends at byte {}; incomplete "
                                                  "download?",
                                                  encoded.size()));
  }
};

struct BmpHeader {
  ImageSize size;
  bool top_down = false;
  uint32_t bits = 0;  ///< a pixel
  uint32_t compression = kRaw;
  size_t pixels_at = 0;
  std::array<uint32_t, 3> masks{};  ///< red, green, blue, of 16- and 32-bit pixels
  Palette palette;
};

std::array<uint32_t, 3> read_masks(const Bytes& bytes, const BmpHeader& header) {
  if (header.compression != kBitfields) {
    if (header.bits == 16) return {0x7c00, 0x3e0, 0x1f};
    return {0xff0000, 0xff00, 0xff};
  }
  // Behind a 40-byte header, or at the same place within a longer one.
  constexpr size_t kMasksAt = kFileHeaderBytes + 40;
  const std::array<uint32_t, 3> masks = {bytes.integer(kMasksAt, 4), bytes.integer(kMasksAt + 4, 4),
                                         bytes.integer(kMasksAt + 8, 4)};
  const std::array<uint32_t, 3> none{};
  if (header.bits == 32 && masks == none) return {0xff0000, 0xff00, 0xff};
  bool supported = false;
  if (header.bits == 16) {
    supported = masks == std::array<uint32_t, 3>{0xf800, 0x7e0, 0x1f} ||
                masks == std::array<uint32_t, 3>{0x7c00, 0x3e0, 0x1f};
  } else if (header.bits == 24) {
    supported = masks == std::array<uint32_t, 3>{0xff0000, 0xff00, 0xff};
  } else if (header.bits == 32) {
    supported = true;
    for (const uint32_t mask : masks) {
      supported =
          supported && (mask == 0xff || mask == 0xff00 || mask == 0xff0000 || mask == 0xff000000);
    }
  }
  if (!supported) {
    throw FormatError(bytes.encoded.source,
                      fmt::format("the BMP's bit masks {:x} {:x} {:x} of {}-bit pixels are not "
                                  "supported",
                                  masks[0], masks[1], masks[2], header.bits));
  }
  return masks;
}

BmpHeader read_header(const Bytes& bytes) {
  BmpHeader header;
  const uint32_t header_bytes = bytes.integer(kFileHeaderBytes, 4);
  const bool is_core = header_bytes == 12;  // OS/2's, with 16-bit sides
  uint32_t num_colors = 0;
  if (is_core) {
    header.size = {bytes.integer(20, 2), bytes.integer(18, 2)};
    header.bits = bytes.integer(24, 2);
  } else if (header_bytes == 40 || header_bytes == 52 || header_bytes == 56 || header_bytes == 64 ||
             header_bytes == 108 || header_bytes == 124) {
    const uint32_t height = bytes.integer(22, 4);
    header.top_down = height >> 24 == 0xff;  // a negative height, as far as Pillow believes it
    header.size = {header.top_down ? (int64_t{1} << 32) - height : height, bytes.integer(18, 4)};
    header.bits = bytes.integer(28, 2);
    header.compression = bytes.integer(30, 4);
    num_colors = bytes.integer(46, 4);
  } else {
    throw FormatError(bytes.encoded.source,
                      fmt::format("the BMP's header has {} bytes, expected 12, 40, 52, 56, 64, 108 "
                                  "or 124",
                                  header_bytes));
  }
  const uint32_t bits = header.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    throw FormatError(
        bytes.encoded.source,
        fmt::format("the BMP has {} bits a pixel, expected 1, 4, 8, 16, 24 or 32", bits));
  }
  const bool indexed = bits <= 8;
  const bool is_rle = header.compression == kRle8 || header.compression == kRle4;
  if (header.compression > kBitfields || (is_rle && !indexed) ||
      (header.compression == kBitfields && indexed)) {
    throw FormatError(bytes.encoded.source,
                      fmt::format("the BMP's compression {} of {}-bit pixels is not supported",
                                  header.compression, bits));
  }

  const size_t after_header = kFileHeaderBytes + header_bytes;
  header.pixels_at = bytes.integer(10, 4);
  if (!indexed) {
    header.masks = read_masks(bytes, header);
    if (header.pixels_at == 0) header.pixels_at = after_header;
    return header;
  }
  if (num_colors == 0) num_colors = 1u << bits;
  if (num_colors > 65536) {
    throw FormatError(
        bytes.encoded.source,
        fmt::format("the BMP's palette has {} colours, expected at most 65536", num_colors));
  }
  const size_t entry_bytes = is_core ? 3 : 4;
  const size_t after_palette = after_header + entry_bytes * num_colors;
  for (size_t at = after_header; at < after_palette && at + 3 <= bytes.encoded.size();
       at += entry_bytes) {
    const uint8_t* bgr = bytes.encoded.data() + at;
    header.palette.push(bgr[2], bgr[1], bgr[0]);
  }
  header.palette.extend_ramp();
  // Some writers give the place of the palette.
  if (header.pixels_at == 0 || header.pixels_at == after_header) header.pixels_at = after_palette;
  return header;
}

/// The indices that run-length codes stand for, bottom row first. Fewer than height * width where
/// the codes end early.
std::vector<uint8_t> expand_runs(const Bytes& bytes, const BmpHeader& header) {
  const uint8_t* in = bytes.encoded.data();
  const size_t end = bytes.encoded.size();
  const int64_t width = header.size.width;
  const auto num_pixels = static_cast<size_t>(header.size.height * width);
  const bool rle4 = header.compression == kRle4;
  const auto nibble = [](uint8_t byte, int64_t i) {
    return static_cast<uint8_t>(i % 2 == 0 ? byte >> 4 : byte & 15);
  };

  std::vector<uint8_t> indices;
  int64_t x = 0;
  for (size_t at = header.pixels_at; indices.size() < num_pixels && at + 2 <= end;) {
    const uint8_t count = in[at];
    const uint8_t code = in[at + 1];
    at += 2;
    if (count != 0) {  // a run, cut at the row's end
      const int64_t run = std::min<int64_t>(count, std::max<int64_t>(0, width - x));
      for (int64_t i = 0; i < run; ++i) indices.push_back(rle4 ? nibble(code, i) : code);
      x += run;
    } else if (code == 0) {  // end of row
      while (indices.size() % width != 0) indices.push_back(0);
      x = 0;
    } else if (code == 1) {  // end of picture
      break;
    } else if (code == 2) {  // move
      if (at + 2 > end) break;
      const size_t skipped = in[at] + in[at + 1] * static_cast<size_t>(width);
      at += 2;
      indices.resize(std::min(num_pixels, indices.size() + skipped));
      x = static_cast<int64_t>(indices.size()) % width;
    } else {  // literal indices, padded to an even number of bytes
      const int64_t literal = std::min<int64_t>(code, num_pixels - indices.size());
      const size_t size = rle4 ? (literal + 1) / 2 : literal;
      if (at + size > end) break;
      for (int64_t i = 0; i < literal; ++i) {
        indices.push_back(rle4 ? nibble(in[at + i / 2], i) : in[at + i]);
      }
      x += code;
      at += size;
      at += at % 2;
    }
  }
  return indices;
}

void packed_to_rgb(const BmpHeader& header, const uint8_t* row, uint8_t* rgb) {
  const std::array<uint32_t, 3>& masks = header.masks;
  const int64_t bytes_per_pixel = header.bits / 8;
  for (int64_t x = 0; x < header.size.width; ++x, rgb += 3) {
    if (header.bits <= 8) {
      const int64_t bit = x * header.bits;
      const int shift = 8 - static_cast<int>(header.bits) - static_cast<int>(bit % 8);
      const size_t index = (row[bit / 8] >> shift) & ((1u << header.bits) - 1);
      std::memcpy(rgb, header.palette[index], 3);
      continue;
    }
    uint32_t pixel = 0;
    for (int64_t i = 0; i < bytes_per_pixel; ++i) {
      pixel |= uint32_t{row[x * bytes_per_pixel + i]} << (8 * i);
    }
    for (int c = 0; c < 3; ++c) {
      const uint32_t low_bit = masks[c] & (~masks[c] + 1);
      rgb[c] = static_cast<uint8_t>((pixel & masks[c]) / low_bit * 255 / (masks[c] / low_bit));
    }
  }
}

}  // namespace

DecodedImage decode_bmp(const EncodedImage& encoded) {
  const Bytes bytes{encoded};
  const BmpHeader header = read_header(bytes);
  const auto [height, width] = header.size;
  encoded.check_size(header.size);
  if (header.pixels_at > encoded.size()) bytes.throw_truncated();

  const auto target_row = [&, height = height](int64_t y) {
    return header.top_down ? y : height - 1 - y;
  };
  if (header.compression == kRle8 || header.compression == kRle4) {
    const std::vector<uint8_t> indices = expand_runs(bytes, header);
    if (indices.size() < static_cast<size_t>(height * width)) {
      throw FormatError(encoded.source,
                        fmt::format("the BMP's run-length codes stand for {} pixels, expected {}",
                                    indices.size(), height * width));
    }
    DecodedImage decoded{Image(height, width)};
    for (int64_t y = 0; y < height; ++y) {
      uint8_t* rgb = decoded.image.row(target_row(y));
      for (int64_t x = 0; x < width; ++x, rgb += 3) {
        std::memcpy(rgb, header.palette[indices[y * width + x]], 3);
      }
    }
    return decoded;
  }

  const int64_t row_bytes = (width * header.bits + 7) / 8;
  const int64_t stride = (width * header.bits + 31) / 32 * 4;
  if (stride * (height - 1) + row_bytes > static_cast<int64_t>(encoded.size() - header.pixels_at)) {
    bytes.throw_truncated();
  }
  DecodedImage decoded{Image(height, width)};
  for (int64_t y = 0; y < height; ++y) {
    packed_to_rgb(header, encoded.data() + header.pixels_at + y * stride,
                  decoded.image.row(target_row(y)));
  }
  return decoded;
}

}  // namespace e5v::detail
