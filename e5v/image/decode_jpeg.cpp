#include <csetjmp>
#include <cstdio>  // jpeglib.h uses FILE

#include <jpeglib.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/image/decoders.h"
#include "e5v/image/orientation.h"

namespace e5v::detail {
namespace {

/// A progressive file may repeat scans over the whole picture in a few bytes each; real ones have
/// about ten.
constexpr int kMaxScans = 200;

/// A libjpeg decompressor over bytes in memory, with its errors kept instead of printed.
///
/// The source never has more than those bytes: where they end, libjpeg suspends (as it does under
/// Pillow), which tells a truncated file from one that merely lacks its end marker.
class JpegReader {
 public:
  explicit JpegReader(const EncodedImage& encoded) : encoded_(encoded) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { self(info).fail(info); };
    errors_.output_message = [](j_common_ptr) {};
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0) ++info->err->num_warnings;
    };
    attempt([this] { jpeg_create_decompress(&info_); });

    source_.next_input_byte = encoded.data();
    source_.bytes_in_buffer = encoded.size();
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      jpeg_source_mgr& source = *info->src;
      const size_t skipped = std::min(source.bytes_in_buffer, static_cast<size_t>(count));
      source.next_input_byte += skipped;
      source.bytes_in_buffer -= skipped;
    };
    info_.src = &source_;

    progress_.progress_monitor = [](j_common_ptr info) {
      JpegReader& reader = self(info);
      if (reader.info_.input_scan_number <= kMaxScans) return;
      reader.too_many_scans_ = true;
      reader.fail(info);
    };
    info_.progress = &progress_;
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  jpeg_decompress_struct& info() { return info_; }

  /// Runs libjpeg calls. `step` must own nothing: an error leaves it by longjmp, and becomes a
  /// FormatError here.
  template <class Step>
  void attempt(Step step) {
    if (setjmp(escape_) == 0) {
      step();
      return;
    }
    throw_failure();
  }

  [[noreturn]] void throw_truncated() const {
    throw FormatError(
        encoded_.source,
        fmt::format("the JPEG data ends at byte {} in row {} of {}; incomplete download?",
                    encoded_.size(), info_.output_scanline, info_.image_height));
  }

 private:
  static JpegReader& self(j_common_ptr info) {
    return *static_cast<JpegReader*>(info->client_data);
  }

  [[noreturn]] void fail(j_common_ptr info) {
    errors_.format_message(info, message_);
    std::longjmp(escape_, 1);
  }

  [[noreturn]] void throw_failure() const {
    if (too_many_scans_) {
      throw FormatError(encoded_.source, fmt::format("the JPEG has more than {} scans", kMaxScans));
    }
    const size_t at = encoded_.size() - source_.bytes_in_buffer;
    throw FormatError(encoded_.source, fmt::format("damaged or unsupported JPEG near byte {}: {}",
                                                   at, printable(message_, sizeof message_)));
  }

  const EncodedImage& encoded_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_;
  char message_[JMSG_LENGTH_MAX] = {};
  bool too_many_scans_ = false;
};

/// Adobe's inverted CMYK to RGB in Pillow's integer arithmetic.
void cmyk_to_rgb(const uint8_t* cmyk, int64_t count, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i, cmyk += 4, rgb += 3) {
    const int not_key = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * not_key + 128;
      rgb[c] = static_cast<uint8_t>(std::max(0, not_key - ((product >> 8) + product) / 256));
    }
  }
}

void gray_to_rgb(const uint8_t* gray, int64_t count, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i, rgb += 3) rgb[0] = rgb[1] = rgb[2] = gray[i];
}

int find_orientation(const jpeg_decompress_struct& info) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  constexpr std::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  std::string exif;
  std::string_view xmp;
  for (const jpeg_marker_struct* marker = info.marker_list; marker; marker = marker->next) {
    if (marker->marker != JPEG_APP0 + 1) continue;
    const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (data.starts_with(kExif)) {
      exif += exif.empty() ? data : data.substr(kExif.size());  // blocks over 64 KiB are split
    } else if (data.starts_with(kXmp)) {
      xmp = data.substr(kXmp.size());
    }
  }
  auto orientation = find_exif_orientation(std::as_bytes(std::span(exif)));
  if (!orientation) orientation = find_xmp_orientation(xmp);
  return orientation.value_or(1);
}

}  // namespace

DecodedImage decode_jpeg(const EncodedImage& encoded) {
  JpegReader reader(encoded);
  jpeg_decompress_struct& info = reader.info();

  int found = JPEG_SUSPENDED;
  reader.attempt([&] {
    if (encoded.options.apply_exif_orientation) {
      jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
    }
    do {
      found = jpeg_read_header(&info, FALSE);
    } while (found == JPEG_HEADER_TABLES_ONLY);
  });
  if (found == JPEG_SUSPENDED) {
    throw FormatError(encoded.source,
                      fmt::format("the JPEG ends at byte {}, before its picture; incomplete "
                                  "download?",
                                  encoded.size()));
  }
  if (info.data_precision != 8) {
    throw FormatError(encoded.source, fmt::format("the JPEG has {}-bit samples, expected 8-bit",
                                                  info.data_precision));
  }
  const int channels = info.num_components;
  if (channels != 1 && channels != 3 && channels != 4) {
    throw FormatError(encoded.source, fmt::format("the JPEG has {} channels, expected 1 (gray), 3 "
                                                  "(colour) or 4 (CMYK)",
                                                  channels));
  }
  encoded.check_size({info.image_height, info.image_width});

  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  bool started = false;
  reader.attempt([&] { started = jpeg_start_decompress(&info); });
  if (!started) reader.throw_truncated();

  DecodedImage decoded{Image(info.image_height, info.image_width)};
  if (encoded.options.apply_exif_orientation) decoded.orientation = find_orientation(info);
  Image& image = decoded.image;
  std::vector<uint8_t> samples(static_cast<size_t>(image.width * channels));
  reader.attempt([&] {
    while (info.output_scanline < info.output_height) {
      uint8_t* const rgb = image.row(info.output_scanline);
      JSAMPROW row = channels == 3 ? rgb : samples.data();
      if (jpeg_read_scanlines(&info, &row, 1) != 1) return;
      if (channels == 4) cmyk_to_rgb(row, image.width, rgb);
      if (channels == 1) gray_to_rgb(row, image.width, rgb);
    }
    jpeg_finish_decompress(&info);  // a missing end marker only suspends it
  });
  if (info.output_scanline < info.output_height) reader.throw_truncated();
  return decoded;
}

}  // namespace e5v::detail
