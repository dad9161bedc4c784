#include "e5v/image/resize.h"

#include <gmock/gmock.h>

#include <random>

#include "e5v/base/error.h"
#include "e5v/image/resample_row.h"
#include "tests/image/image_support.h"

namespace e5v::detail {
namespace {

TEST(ResizeGoldenTest, EqualsPillowForEveryFilterAndSize) {
  const Json golden = read_golden("image_resize");
  ASSERT_GE(golden["cases"].size(), 90u);
  for (const Json& example : golden["cases"]) {
    const ImageSize from = json_size(example["from"]);
    const ImageSize to = json_size(example["to"]);
    const auto filter = static_cast<Resample>(example["resample"].get<int>());
    const Image image = formula_image(from.height, from.width);
    const Image resized = resize(image, to, filter);
    EXPECT_EQ(resized.size(), to);
    EXPECT_EQ(crc32(resized.rgb), example["crc32"].get<std::string>()) << example.dump();
    EXPECT_EQ(crc32(resize(image, to, filter, ResizeOrder::kRowsFirst).rgb),
              example["rows_first_crc32"].get<std::string>())
        << example.dump();
  }
}

TEST(ResizeTest, LeavesAnImageOfTheRightSizeAsItIs) {
  const Image image = formula_image(20, 30);
  EXPECT_EQ(resize(image, {20, 30}, Resample::kLanczos).rgb, image.rgb);
}

TEST(ResizeTest, KeepsAPlainColour) {
  Image image(50, 70);
  for (uint8_t& byte : image.rgb) byte = 255;
  const Image resized = resize(image, {33, 101}, Resample::kBicubic);
  EXPECT_THAT(resized.rgb, testing::Each(255));
}

TEST(ResizeTest, RefusesEmptySizes) {
  EXPECT_THROW(resize(Image(0, 4), {2, 2}, Resample::kBicubic), InputError);
  EXPECT_THROW(resize(Image(4, 4), {2, 0}, Resample::kBicubic), InputError);
  EXPECT_THROW(resize(Image(4, 4), {int64_t{1} << 40, 1}, Resample::kNearest), InputError);
}

TEST(ResizeTest, RefusesToGrowBeyondItsLimit) {
  EXPECT_THROW(resize(Image(4, 4), {1 << 20, 1 << 20}, Resample::kBicubic), InputError);
  EXPECT_THROW(resize(Image(4, 4), {1 << 20, 1 << 20}, Resample::kNearest), InputError);
  // 2000 x 1000000 pixels between the directions.
  const Image tall(1'000'000, 1);
  EXPECT_THROW(resize(tall, {1, 2000}, Resample::kBicubic, ResizeOrder::kRowsFirst), InputError);
  EXPECT_EQ(resize(tall, {1, 2000}, Resample::kBicubic).size(), (ImageSize{1, 2000}));
}

/// Weights as bicubic ones are, with sums up to the limits of 8 bits and beyond.
ResampleWeights random_weights(std::mt19937& random, int32_t width, int32_t num_windows) {
  ResampleWeights weights;
  for (int32_t i = 0; i < num_windows; ++i) {
    const int32_t first = std::uniform_int_distribution(0, width - 1)(random);
    const int32_t count = std::uniform_int_distribution(1, width - first)(random);
    weights.windows.push_back({first, count, static_cast<int64_t>(weights.weights.size())});
    const int32_t limit = (5 << (kWeightBits - 2)) / count;  // 1.25 in all
    std::uniform_int_distribution<int32_t> weight(-limit / 4, limit);
    for (int32_t j = 0; j < count; ++j) weights.weights.push_back(weight(random));
    if (count % 2 != 0) weights.weights.push_back(0);
  }
  return weights;
}

TEST(ResampleRowTest, FastRowsEqualTheGenericOnes) {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> byte(0, 255);
  for (const int32_t width : {1, 2, 3, 5, 8, 31, 300, 1000}) {
    // Exactly as long as the row: a read beyond it is one that the sanitizer sees.
    std::vector<uint8_t> row(width * 3);
    for (uint8_t& value : row) value = static_cast<uint8_t>(byte(random));
    const ResampleWeights weights = random_weights(random, width, 40);
    std::vector<uint8_t> generic(40 * 3);
    std::vector<uint8_t> fast(40 * 3);
    resample_row_generic(row.data(), width, weights, generic.data());
    resample_row(row.data(), width, weights, fast.data());
    EXPECT_EQ(fast, generic) << "width " << width;
  }
}

TEST(ResampleRowTest, FastBlendingEqualsTheGenericOne) {
  std::mt19937 random(2);
  std::uniform_int_distribution<int> byte(0, 255);
  for (const int64_t size : {1, 3, 7, 8, 9, 30, 257}) {
    for (const int32_t count : {1, 2, 3, 8, 25, 700}) {
      std::vector<uint8_t> rows(size * count);
      for (uint8_t& value : rows) value = static_cast<uint8_t>(byte(random));
      const int32_t limit = (5 << (kWeightBits - 2)) / count;
      std::uniform_int_distribution<int32_t> weight(-limit / 4, limit);
      std::vector<int32_t> weights(count + count % 2, 0);
      for (int32_t i = 0; i < count; ++i) weights[i] = weight(random);
      std::vector<uint8_t> generic(size);
      std::vector<uint8_t> fast(size);
      blend_rows_generic(rows.data(), size, size, weights.data(), count, generic.data());
      blend_rows(rows.data(), size, size, weights.data(), count, fast.data());
      EXPECT_EQ(fast, generic) << size << " bytes, " << count << " rows";
    }
  }
}

}  // namespace
}  // namespace e5v::detail
