#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/image/decoders.h"
#include "e5v/image/orientation.h"

namespace e5v::detail {
namespace {

/// A libpng reader over bytes in memory, with its errors kept instead of printed.
class PngReader {
 public:
  explicit PngReader(const EncodedImage& encoded) : encoded_(encoded) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp message) {
          auto& reader = *static_cast<PngReader*>(png_get_error_ptr(png));
          std::strncpy(reader.message_.data(), message, reader.message_.size() - 1);
          std::longjmp(reader.escape_, 1);
        },
        [](png_structp, png_const_charp) {});
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, this, [](png_structp png, png_bytep out, size_t size) {
      auto& reader = *static_cast<PngReader*>(png_get_io_ptr(png));
      if (size > reader.encoded_.size() - reader.at_) {
        reader.truncated_ = true;
        png_error(png, "the data ends");
      }
      std::memcpy(out, reader.encoded_.data() + reader.at_, size);
      reader.at_ += size;
    });
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  png_structp png() { return png_; }
  png_infop info() { return info_; }

  /// Runs libpng calls; false after an error. `step` must own nothing: an error leaves it by
  /// longjmp.
  template <class Step>
  bool try_step(Step step) {
    if (setjmp(escape_) != 0) return false;
    step();
    return true;
  }

  /// The same with the error as a FormatError.
  template <class Step>
  void attempt(Step step) {
    if (try_step(step)) return;
    if (truncated_) {
      throw FormatError(
          encoded_.source,
          fmt::format("the PNG data ends at byte {}; incomplete download?", encoded_.size()));
    }
    throw FormatError(encoded_.source, fmt::format("damaged PNG near byte {}: {}", at_,
                                                   printable(message_.data(), 200)));
  }

 private:
  const EncodedImage& encoded_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  size_t at_ = 0;
  bool truncated_ = false;
  std::jmp_buf escape_;
  std::array<char, 256> message_{};
};

/// Turns packed samples, as they lie in the file, into RGB.
struct SampleFormat {
  int color_type;
  int bit_depth;
  Palette palette;

  int channels() const {
    switch (color_type) {
      case PNG_COLOR_TYPE_RGB:
        return 3;
      case PNG_COLOR_TYPE_GRAY_ALPHA:
        return 2;
      case PNG_COLOR_TYPE_RGB_ALPHA:
        return 4;
      default:
        return 1;
    }
  }
  int64_t row_bytes(int64_t width) const { return (width * channels() * bit_depth + 7) / 8; }

  /// Writes `count` pixels of `row` to `out`, `step` pixels apart.
  void to_rgb(const uint8_t* row, int64_t count, uint8_t* out, int64_t step) const {
    const int bytes_per_sample = bit_depth == 16 ? 2 : 1;
    const int bytes_per_pixel = channels() * bytes_per_sample;
    const bool is_color = (color_type & PNG_COLOR_MASK_COLOR) != 0;
    for (int64_t x = 0; x < count; ++x, out += 3 * step) {
      if (color_type == PNG_COLOR_TYPE_PALETTE) {
        std::memcpy(out, palette[packed_sample(row, x)], 3);
      } else if (is_color) {
        const uint8_t* pixel = row + x * bytes_per_pixel;
        for (int c = 0; c < 3; ++c) out[c] = pixel[c * bytes_per_sample];  // high byte first
      } else {
        out[0] = out[1] = out[2] = gray(row, x, bytes_per_pixel);
      }
    }
  }

 private:
  size_t packed_sample(const uint8_t* row, int64_t x) const {
    const int64_t bit = x * bit_depth;
    const int shift = 8 - bit_depth - static_cast<int>(bit % 8);
    return (row[bit / 8] >> shift) & ((1 << bit_depth) - 1);
  }

  uint8_t gray(const uint8_t* row, int64_t x, int bytes_per_pixel) const {
    const uint8_t* pixel = row + x * bytes_per_pixel;
    if (bit_depth < 8) {
      return static_cast<uint8_t>(packed_sample(row, x) * (255 / ((1 << bit_depth) - 1)));
    }
    // Pillow opens 16-bit gray as integers and clips them on conversion; with alpha it does not.
    if (bit_depth == 16 && color_type == PNG_COLOR_TYPE_GRAY) return pixel[0] ? 255 : pixel[1];
    return pixel[0];
  }
};

/// The EXIF block that ImageMagick hides in a text chunk: three lines of heading, then hex.
std::string parse_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string bytes;
  int high = -1;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<char>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

int find_orientation(PngReader& reader) {
  std::optional<int> orientation;
  png_uint_32 size = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(reader.png(), reader.info(), &size, &exif) != 0) {
    orientation = find_exif_orientation(std::as_bytes(std::span(exif, size)));
  }
  png_textp texts = nullptr;
  const int num_texts = png_get_text(reader.png(), reader.info(), &texts, nullptr);
  for (int i = 0; i < num_texts && !orientation; ++i) {
    const png_text& text = texts[i];
    const std::string_view key(text.key);
    const std::string_view value(text.text, std::max(text.text_length, text.itxt_length));
    if (key == "Raw profile type exif") {
      const std::string bytes = parse_raw_profile(value);
      orientation = find_exif_orientation(std::as_bytes(std::span(bytes)));
    } else if (key == "XML:com.adobe.xmp") {
      orientation = find_xmp_orientation(value);
    }
  }
  return orientation.value_or(1);
}

}  // namespace

DecodedImage decode_png(const EncodedImage& encoded) {
  PngReader reader(encoded);
  png_structp png = reader.png();
  png_infop info = reader.info();

  png_uint_32 width = 0;
  png_uint_32 height = 0;
  SampleFormat format;
  int interlace = PNG_INTERLACE_NONE;
  reader.attempt([&] {
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_size has better words
    // Pillow checks the sums of the chunks before the pixels, not those of the pixels.
    png_read_info(png, info);
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_get_IHDR(png, info, &width, &height, &format.bit_depth, &format.color_type, &interlace,
                 nullptr, nullptr);
    png_colorp palette = nullptr;
    int num_colors = 0;
    if (png_get_PLTE(png, info, &palette, &num_colors) != 0) {
      for (int i = 0; i < num_colors; ++i) {
        format.palette.push(palette[i].red, palette[i].green, palette[i].blue);
      }
    }
  });
  encoded.check_size({height, width});
  // Deflate cannot expand more than 1032 times: a small file that claims a huge picture is known to
  // be truncated before memory is taken for it.
  const int64_t raw_bytes = (format.row_bytes(width) + 1) * int64_t{height};
  if (interlace == PNG_INTERLACE_NONE && raw_bytes / 1032 > static_cast<int64_t>(encoded.size())) {
    throw FormatError(encoded.source,
                      fmt::format("{} bytes cannot hold a PNG of {} x {} pixels (w x h)",
                                  encoded.size(), width, height));
  }

  DecodedImage decoded{Image(height, width)};
  Image& image = decoded.image;
  std::vector<uint8_t> row(static_cast<size_t>(format.row_bytes(width)) + 16);
  reader.attempt([&] {
    if (interlace == PNG_INTERLACE_NONE) {
      for (png_uint_32 y = 0; y < height; ++y) {
        png_read_row(png, row.data(), nullptr);
        format.to_rgb(row.data(), width, image.row(y), 1);
      }
      return;
    }
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
      const png_uint_32 rows = PNG_PASS_ROWS(height, pass);
      const png_uint_32 columns = PNG_PASS_COLS(width, pass);
      if (rows == 0 || columns == 0) continue;
      for (png_uint_32 y = 0; y < rows; ++y) {
        png_read_row(png, row.data(), nullptr);
        uint8_t* out = image.row(PNG_ROW_FROM_PASS_ROW(y, pass)) + 3 * PNG_PASS_START_COL(pass);
        format.to_rgb(row.data(), columns, out, PNG_PASS_COL_OFFSET(pass));
      }
    }
  });
  if (encoded.options.apply_exif_orientation) {
    // Metadata may follow the pixels; damage there costs no pixel and is not an error.
    reader.try_step([&] { png_read_end(png, info); });
    decoded.orientation = find_orientation(reader);
  }
  return decoded;
}

}  // namespace e5v::detail
