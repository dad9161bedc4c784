#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/image/decoders.h"

namespace e5v::detail {
namespace {

constexpr int kMaxCodeBits = 12;
constexpr int kMaxCodes = 1 << kMaxCodeBits;
constexpr std::array<int64_t, 4> kInterlaceStart = {0, 4, 2, 1};
constexpr std::array<int64_t, 4> kInterlaceStep = {8, 8, 4, 2};

/// Reads the file byte by byte, with a FormatError where it ends.
class GifSource {
 public:
  explicit GifSource(const EncodedImage& encoded) : encoded_(encoded) {}

  size_t position() const { return at_; }
  std::span<const uint8_t> take(size_t count) {
    if (count > encoded_.size() - at_) {
      throw FormatError(encoded_.source, fmt::format("the GIF data ends at byte {}; incomplete "
                                                     "download?",
                                                     encoded_.size()));
    }
    at_ += count;
    return {encoded_.data() + at_ - count, count};
  }
  uint8_t byte() { return take(1)[0]; }
  /// The next data sub-block; empty at the end of a chain of them.
  std::span<const uint8_t> block() { return take(byte()); }
  Palette palette(int bits) {
    const auto bytes = take(size_t{3} << bits);
    Palette palette;
    for (size_t i = 0; i < bytes.size(); i += 3) palette.push(bytes[i], bytes[i + 1], bytes[i + 2]);
    palette.extend_ramp();
    return palette;
  }

 private:
  const EncodedImage& encoded_;
  size_t at_ = 0;
};

int64_t little_endian_16(std::span<const uint8_t> bytes, size_t at) {
  return bytes[at] | bytes[at + 1] << 8;
}

/// Expands the LZW codes of one picture to `num_pixels` indices.
class LzwReader {
 public:
  LzwReader(GifSource& source, const EncodedImage& encoded, int min_code_bits)
      : source_(source),
        encoded_(encoded),
        min_code_bits_(min_code_bits),
        clear_(1 << min_code_bits) {}

  std::vector<uint8_t> read(size_t num_pixels) {
    std::vector<uint8_t> indices;  // grows with the data: a size that is only claimed costs nothing
    int previous = -1;             // the code before, or -1 after a clear code
    reset();
    while (indices.size() < num_pixels) {
      int code = next_code();
      if (code == clear_) {
        reset();
        previous = -1;
        continue;
      }
      if (code == clear_ + 1) {
        throw_damaged(
            fmt::format("the codes end after {} pixels, expected {}", indices.size(), num_pixels));
      }
      if (code > (previous < 0 ? clear_ : next_)) throw_damaged(fmt::format("bad code {}", code));

      std::array<uint8_t, kMaxCodes + 1> reversed;
      size_t length = 0;
      const int current = code;
      if (code == next_) {  // the string being defined: the previous one and its own first pixel
        reversed[length++] = first_pixel_;
        code = previous;
      }
      for (; code >= clear_; code = prefix_[code]) reversed[length++] = suffix_[code];
      first_pixel_ = static_cast<uint8_t>(code);
      reversed[length++] = first_pixel_;
      if (previous >= 0) define(previous, first_pixel_);
      previous = current;

      // Codes beyond the picture's end are dropped.
      const size_t kept = std::min(length, num_pixels - indices.size());
      const auto begin = std::make_reverse_iterator(reversed.begin() + length);
      indices.insert(indices.end(), begin, begin + kept);
    }
    return indices;
  }

 private:
  void reset() {
    next_ = clear_ + 2;
    code_bits_ = min_code_bits_ + 1;
  }

  void define(int prefix, uint8_t suffix) {
    if (next_ == kMaxCodes) return;
    prefix_[next_] = static_cast<uint16_t>(prefix);
    suffix_[next_] = suffix;
    if (next_ == (1 << code_bits_) - 1 && code_bits_ < kMaxCodeBits) ++code_bits_;
    ++next_;
  }

  int next_code() {
    while (num_bits_ < code_bits_) {
      if (block_.empty()) {
        block_ = source_.block();
        if (block_.empty()) throw_damaged("the codes end before the picture");
      }
      bits_ |= uint32_t{block_[0]} << num_bits_;
      num_bits_ += 8;
      block_ = block_.subspan(1);
    }
    const int code = static_cast<int>(bits_ & ((1u << code_bits_) - 1));
    bits_ >>= code_bits_;
    num_bits_ -= code_bits_;
    return code;
  }

  [[noreturn]] void throw_damaged(std::string_view problem) const {
    throw FormatError(encoded_.source,
                      fmt::format("damaged GIF near byte {}: {}", source_.position(), problem));
  }

  GifSource& source_;
  const EncodedImage& encoded_;
  const int min_code_bits_;
  const int clear_;
  int next_ = 0;       // the code that the next string gets
  int code_bits_ = 0;  // of the next code
  uint8_t first_pixel_ = 0;
  std::array<uint16_t, kMaxCodes> prefix_;
  std::array<uint8_t, kMaxCodes> suffix_;
  std::span<const uint8_t> block_;
  uint32_t bits_ = 0;
  int num_bits_ = 0;
};

/// Reads up to the first picture's descriptor; returns the transparent index of its graphic control
/// block, or 0: the index that fills what the picture leaves free.
uint8_t read_until_picture(GifSource& source, const EncodedImage& encoded) {
  uint8_t background = 0;
  while (true) {
    switch (source.byte()) {
      case ',':
        return background;
      case ';':
        throw FormatError(encoded.source, "the GIF holds no picture");
      case '!': {
        const bool is_graphic_control = source.byte() == 0xf9;
        auto block = source.block();
        if (is_graphic_control && block.size() >= 4 && (block[0] & 1) != 0) background = block[3];
        while (!block.empty()) block = source.block();
        break;
      }
      default:
        break;  // stray bytes between the blocks are skipped, as Pillow does
    }
  }
}

}  // namespace

DecodedImage decode_gif(const EncodedImage& encoded) {
  GifSource source(encoded);
  const auto header = source.take(13);
  const ImageSize screen{little_endian_16(header, 8), little_endian_16(header, 6)};
  Palette palette;
  if ((header[10] & 0x80) != 0) palette = source.palette((header[10] & 7) + 1);
  palette.extend_ramp();
  const uint8_t background = read_until_picture(source, encoded);

  const auto frame = source.take(9);
  const int64_t left = little_endian_16(frame, 0);
  const int64_t top = little_endian_16(frame, 2);
  const ImageSize size{little_endian_16(frame, 6), little_endian_16(frame, 4)};
  const bool interlaced = (frame[8] & 0x40) != 0;
  if ((frame[8] & 0x80) != 0) palette = source.palette((frame[8] & 7) + 1);
  // A picture that reaches over the canvas enlarges it.
  const ImageSize canvas{std::max(screen.height, top + size.height),
                         std::max(screen.width, left + size.width)};
  encoded.check_size(size);
  encoded.check_size(canvas);

  const int min_code_bits = source.byte();
  if (min_code_bits >= kMaxCodeBits) {
    throw FormatError(encoded.source, fmt::format("the GIF's codes begin with {} bits, expected "
                                                  "fewer than {}",
                                                  min_code_bits, kMaxCodeBits));
  }
  const std::vector<uint8_t> indices =
      LzwReader(source, encoded, min_code_bits).read(size.height * size.width);

  DecodedImage decoded{Image(canvas.height, canvas.width)};
  Image& image = decoded.image;
  for (int64_t i = 0; i < canvas.height * canvas.width; ++i) {
    std::copy_n(palette[background], 3, &image.rgb[i * 3]);
  }
  const uint8_t* index = indices.data();
  for (size_t pass = 0; pass < (interlaced ? kInterlaceStart.size() : 1); ++pass) {
    const int64_t step = interlaced ? kInterlaceStep[pass] : 1;
    for (int64_t y = kInterlaceStart[pass]; y < size.height; y += step) {
      uint8_t* out = image.row(top + y) + 3 * left;
      for (int64_t x = 0; x < size.width; ++x, out += 3) std::copy_n(palette[*index++], 3, out);
    }
  }
  return decoded;
}

}  // namespace e5v::detail
