#include "e5v/image/orientation.h"

#include <gtest/gtest.h>

#include <string>

namespace e5v::detail {
namespace {

std::optional<int> find_exif(const std::string& bytes) {
  return find_exif_orientation(std::as_bytes(std::span(bytes)));
}

/// A TIFF block with one entry.
std::string little_endian_exif(char tag_low, char type, char value) {
  return std::string("II*\0\x08\0\0\0\x01\0", 10) + tag_low + '\x01' + type +
         std::string("\0\x01\0\0\0", 5) + value + std::string("\0\0\0\0\0\0\0", 7);
}

TEST(OrientationTest, ReadsBothByteOrdersWithOrWithoutTheMark) {
  EXPECT_EQ(find_exif(little_endian_exif('\x12', 3, 6)), 6);
  EXPECT_EQ(find_exif(std::string("Exif\0\0", 6) + little_endian_exif('\x12', 3, 6)), 6);
  EXPECT_EQ(find_exif(little_endian_exif('\x12', 4, 6)), 6);
  const std::string big_endian("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0",
                               26);
  EXPECT_EQ(find_exif(big_endian), 8);
}

TEST(OrientationTest, IgnoresDamagedBlocks) {
  EXPECT_EQ(find_exif(""), std::nullopt);
  EXPECT_EQ(find_exif("XX*"), std::nullopt);
  EXPECT_EQ(find_exif(std::string("II*\0\xff\xff\xff\xff", 8)), std::nullopt);
  EXPECT_EQ(find_exif(little_endian_exif('\x13', 3, 6)), std::nullopt);  // another tag
  EXPECT_EQ(find_exif(little_endian_exif('\x12', 2, 6)), std::nullopt);  // text
  EXPECT_EQ(find_exif(little_endian_exif('\x12', 3, 6).substr(0, 15)), std::nullopt);
  EXPECT_EQ(find_exif(little_endian_exif('\x12', 3, 77)), 1);
}

TEST(OrientationTest, ReadsXmp) {
  EXPECT_EQ(find_xmp_orientation("<a tiff:Orientation=\"5\"/>"), 5);
  EXPECT_EQ(find_xmp_orientation("<tiff:Orientation>3</tiff:Orientation>"), 3);
  EXPECT_EQ(find_xmp_orientation("tiff:Orientation tiff:Orientation=\"x\""), std::nullopt);
  EXPECT_EQ(find_xmp_orientation(""), std::nullopt);
}

/// A picture of 2 rows and 3 columns whose pixels are 0 1 2 / 3 4 5.
Image numbered() {
  Image image(2, 3);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i / 3);
  return image;
}

std::string numbers_of(const Image& image) {
  std::string text;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) text += static_cast<char>('0' + image.row(y)[x * 3]);
    text += ' ';
  }
  return text;
}

TEST(OrientationTest, TurnsAsExifDefines) {
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 1)), "012 345 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 2)), "210 543 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 3)), "543 210 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 4)), "345 012 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 5)), "03 14 25 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 6)), "30 41 52 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 7)), "52 41 30 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 8)), "25 14 03 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 0)), "012 345 ");
  EXPECT_EQ(numbers_of(apply_orientation(numbered(), 9)), "012 345 ");
}

}  // namespace
}  // namespace e5v::detail
