#include "e5v/image/decode.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <string>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/image/image_support.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string golden_file(const std::string& name) {
  return read_file(golden_folder("image_decode") / "files" / name);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  const Json golden = read_golden("image_decode");
  for (const auto& [name, entry] : golden["images"].items()) {
    names.push_back(name);
  }
  return names;
}

Image decode(std::string_view bytes, const DecodeOptions& options = {}) {
  return decode_image(std::as_bytes(std::span(bytes)), "test", options);
}

/// The message of the Error that `bytes` give, with its type; "" if they decode.
std::string error_of(std::string_view bytes, const DecodeOptions& options = {}) {
  try {
    decode(bytes, options);
  } catch (const FormatError& error) {
    return std::string("FormatError: ") + error.what();
  } catch (const InputError& error) {
    return std::string("InputError: ") + error.what();
  }
  return "";
}

TEST(DecodeGoldenTest, EveryKindOfFileEqualsPillow) {
  const Json images = read_golden("image_decode")["images"];
  ASSERT_GE(images.size(), 80u);
  for (const auto& [name, entry] : images.items()) {
    const Image plain = decode(golden_file(name), {.apply_exif_orientation = false});
    EXPECT_EQ(plain.height, entry["height"].get<int64_t>()) << name;
    EXPECT_EQ(plain.width, entry["width"].get<int64_t>()) << name;
    EXPECT_EQ(crc32(plain.rgb), entry["crc32"].get<std::string>()) << name;

    const Json& upright = entry.contains("turned") ? entry["turned"] : entry;
    const Image turned = decode(golden_file(name));
    EXPECT_EQ(turned.height, upright["height"].get<int64_t>()) << name;
    EXPECT_EQ(turned.width, upright["width"].get<int64_t>()) << name;
    EXPECT_EQ(crc32(turned.rgb), upright["crc32"].get<std::string>()) << name;
  }
}

TEST(DecodeTest, SaysWhatAFileIsInsteadOfAnImage) {
  EXPECT_THAT(error_of("hello, I am a text"),
              AllOf(HasSubstr("FormatError: test: not a JPEG, PNG, WebP, GIF or BMP image"),
                    HasSubstr("'hello, I am a te'")));
  EXPECT_THAT(error_of(std::string("\x00\x01\n", 3)), HasSubstr("\\x00\\x01\\x0a"));
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
  EXPECT_THAT(error_of("RIFF1234WAVEfmt "), HasSubstr("not a JPEG"));
  EXPECT_THAT(error_of("RIFF"), HasSubstr("not a JPEG"));
}

TEST(DecodeTest, NamesTheFile) {
  EXPECT_THROW(load_image("/nonexistent/photo.jpg"), FileError);
  const auto path = std::filesystem::path(testing::TempDir()) / "e5v_decode_text.jpg";
  write_file(path, "no image");
  try {
    load_image(path);
    FAIL() << "decoded";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr(path.string()));
  }
  std::filesystem::remove(path);
}

TEST(DecodeTest, ATruncatedFileIsRefused) {
  for (const std::string& name : golden_names()) {
    if (name == "animated.gif") continue;  // its first picture ends in its first half
    const std::string whole = golden_file(name);
    for (size_t size = 1; size < whole.size() / 2; size += 1 + whole.size() / 40) {
      EXPECT_THAT(error_of(whole.substr(0, size)), HasSubstr("FormatError: test: "))
          << name << " cut to " << size << " bytes";
    }
  }
}

TEST(DecodeTest, SaysWhereATruncatedFileEnds) {
  for (const char* name :
       {"rgb_444.jpg", "rgb_progressive.jpg", "rgb_all_filters.png", "plain.gif", "rgb.bmp"}) {
    const std::string whole = golden_file(name);
    const size_t size = whole.size() * 3 / 5;
    EXPECT_THAT(error_of(whole.substr(0, size)),
                AllOf(HasSubstr(fmt::format("ends at byte {}", size)), HasSubstr("incomplete")))
        << name;
  }
}

/// Any damage gives an image or an Error; which of them is the decoders' business.
TEST(DecodeTest, DamagedFilesNeverCrash) {
  std::mt19937 random(3);
  const DecodeOptions options{.max_pixels = 1 << 20};
  int num_errors = 0;
  int num_images = 0;
  for (const std::string& name : golden_names()) {
    const std::string whole = golden_file(name);
    for (int i = 0; i < 60; ++i) {
      std::string damaged = whole;
      const int num_bytes = 1 + i % 3;
      for (int j = 0; j < num_bytes; ++j) {
        // Half of the damage goes to the headers.
        const size_t limit = i % 2 == 0 ? whole.size() : std::min<size_t>(64, whole.size());
        damaged[random() % limit] = static_cast<char>(random());
      }
      if (i % 5 == 0) damaged.resize(random() % damaged.size());
      if (i % 7 == 0) damaged.insert(random() % (damaged.size() + 1), 3, '\xff');
      const std::string error = error_of(damaged, options);
      ++(error.empty() ? num_images : num_errors);
      EXPECT_EQ(error.find('\n'), error.npos) << error;
    }
  }
  EXPECT_GT(num_errors, 500);
  EXPECT_GT(num_images, 500);
}

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

/// A PNG whose header claims other sides; its checksum is made right.
std::string png_claiming(uint32_t width, uint32_t height) {
  std::string png = golden_file("rgb_8.png");
  png.replace(16, 8, big_endian(width) + big_endian(height));
  const std::string header = png.substr(12, 17);
  const std::string sum = crc32({reinterpret_cast<const uint8_t*>(header.data()), header.size()});
  png.replace(29, 4, big_endian(static_cast<uint32_t>(std::stoul(sum, nullptr, 16))));
  return png;
}

/// A JPEG whose frame header claims other sides.
std::string jpeg_claiming(uint16_t width, uint16_t height) {
  std::string jpeg = golden_file("rgb_444.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, big_endian(uint32_t{height} << 16 | width));
  return jpeg;
}

TEST(DecodeTest, DecompressionBombsAreRefusedFromTheHeader) {
  EXPECT_THAT(error_of(png_claiming(60000, 60000)),
              AllOf(HasSubstr("InputError"), HasSubstr("60000 x 60000"), HasSubstr("limit")));
  EXPECT_THAT(error_of(png_claiming(0x7fffffff, 1)), HasSubstr("InputError"));
  EXPECT_THAT(error_of(jpeg_claiming(65000, 65000)), HasSubstr("InputError"));
  // Below the limit, but no such file is that short.
  EXPECT_THAT(error_of(png_claiming(13000, 13000)), HasSubstr("cannot hold"));
  EXPECT_THAT(error_of(jpeg_claiming(20000, 3)), testing::IsEmpty());

  std::string gif = golden_file("plain.gif");
  gif.replace(6, 4, "\xff\xff\xff\xff");
  EXPECT_THAT(error_of(gif), HasSubstr("InputError"));
  std::string bmp = golden_file("rgb.bmp");
  bmp.replace(18, 8, std::string("\xff\xff\0\0\xff\xff\0\0", 8));
  EXPECT_THAT(error_of(bmp), HasSubstr("InputError"));
  bmp.replace(18, 8, std::string("\xff\x0f\0\0\xff\x0f\0\0", 8));
  EXPECT_THAT(error_of(bmp), HasSubstr("ends at byte"));
  std::string webp = golden_file("exif_7.webp");  // its VP8X chunk holds the canvas
  webp.replace(24, 6, "\xff\xff\xff\xff\xff\xff");
  EXPECT_THAT(error_of(webp), HasSubstr("Error"));
}

TEST(DecodeTest, KeepsTheLimitsItIsGiven) {
  const std::string png = golden_file("rgb_8.png");  // 23 x 17
  EXPECT_EQ(error_of(png, {.max_pixels = 23 * 17}), "");
  EXPECT_THAT(error_of(png, {.max_pixels = 23 * 17 - 1}), HasSubstr("23 x 17"));
  EXPECT_EQ(error_of(png, {.max_side = 23}), "");
  EXPECT_THAT(error_of(png, {.max_side = 22}), HasSubstr("22 a side"));
  EXPECT_THAT(error_of(png, {.max_bytes = 100}), HasSubstr("limit of 100"));
}

TEST(DecodeTest, RefusesEmptyPictures) {
  EXPECT_THAT(error_of(png_claiming(0, 5)), HasSubstr("FormatError"));
  EXPECT_THAT(error_of(jpeg_claiming(0, 5)), HasSubstr("FormatError"));
  std::string gif = golden_file("plain.gif");
  const size_t frame = gif.find(std::string(",\0\0\0\0", 5));
  gif.replace(frame + 5, 2, std::string(2, '\0'));
  EXPECT_THAT(error_of(gif), HasSubstr("0 x 17"));
}

TEST(DecodeTest, RefusesUnsupportedJpegsClearly) {
  std::string jpeg = golden_file("rgb_444.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  std::string twelve_bits = jpeg;
  twelve_bits[frame + 4] = 12;
  EXPECT_THAT(error_of(twelve_bits), HasSubstr("12"));
  std::string lossless = jpeg;
  lossless[frame + 1] = '\xc3';
  EXPECT_THAT(error_of(lossless), HasSubstr("0xc3"));
}

TEST(DecodeTest, RefusesAJpegOfEndlessScans) {
  const std::string jpeg = golden_file("rgb_progressive.jpg");
  const size_t scan = jpeg.find("\xff\xda");
  const size_t next = jpeg.find("\xff\xc4", scan);
  ASSERT_NE(next, jpeg.npos);
  std::string repeated = jpeg.substr(0, next);
  for (int i = 0; i < 300; ++i) repeated += jpeg.substr(scan, next - scan);
  EXPECT_THAT(error_of(repeated + jpeg.substr(next)), HasSubstr("more than 200 scans"));
}

TEST(DecodeTest, ToleratesDamageThatCostsNoPixel) {
  // As Pillow does: the sum of the pixels is not checked, nor what follows them.
  std::string png = golden_file("rgb_8.png");
  const size_t pixels = png.find("IDAT");
  const size_t end = png.find("IEND");
  png[end - 5] = static_cast<char>(png[end - 5] ^ 1);
  ASSERT_GT(end, pixels);
  EXPECT_EQ(error_of(png), "");
  EXPECT_EQ(error_of(png.substr(0, end - 4)), "");
}

}  // namespace
}  // namespace e5v::detail
