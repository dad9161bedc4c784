#include "e5v/families/qwen_vl_picture_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/families/qwen_vl_grid.h"
#include "tests/support/message_of.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

TEST(SmartResizeTest, SizesAreThoseOfTheWorkedExamples) {
  // transformers 5.17's smart_resize, by the bounds of Qwen3-VL-Embedding and of Qwen2-VL.
  const auto qwen3 = [](int64_t height, int64_t width) {
    return smart_resize({height, width}, 32, 4096, 1310720);
  };
  EXPECT_EQ(qwen3(480, 640), (ImageSize{480, 640}));
  EXPECT_EQ(qwen3(3000, 4000), (ImageSize{960, 1312}));
  EXPECT_EQ(qwen3(200, 1), (ImageSize{928, 32}));
  EXPECT_EQ(qwen3(48, 80), (ImageSize{64, 64}));  // 1.5 and 2.5 cells: half to even
  EXPECT_EQ(smart_resize({480, 640}, 28, 3136, 12845056), (ImageSize{476, 644}));
  EXPECT_EQ(smart_resize({480, 640}, 28, 3136, 151200), (ImageSize{336, 448}));
}

TEST(SmartResizeTest, ThinPicturesAreRefusedBeyondTheLimit) {
  EXPECT_NO_THROW(smart_resize({1, 200}, 28, 3136, 12845056));
  EXPECT_THAT(message_of<InputError>([] {
                smart_resize({1, 201}, 28, 3136, 12845056);
              }),
              HasSubstr("201 x 1 pixels (w x h) is too thin: one side is over 200 times"));
  EXPECT_THROW(smart_resize({0, 0}, 28, 3136, 12845056), InputError);
}

TEST(QwenVlPictureRulesTest, RowsGoCellByCell) {
  QwenVlImageConfig config;
  config.patch_size = 1;
  config.min_pixels = 4;
  config.do_rescale = config.do_normalize = false;
  const QwenVlPictureRules rules(config, ImageProcessing::kCurrent);
  Image image(4, 6);  // cells of 2 x 2 pixels: 2 x 3
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i / 3);
  const PreparedPicture picture = rules.prepare(image);
  EXPECT_EQ(picture.num_rows, 24);
  EXPECT_EQ(rules.row_shape(), (std::vector<int64_t>{6}));
  EXPECT_EQ(rules.tokens(picture).size(), 6);
  EXPECT_EQ(rules.resolution(picture), (ImageSize{4, 6}));
  std::vector<float> values(24 * 6);
  rules.write_pixel_values(picture, values);
  std::vector<float> pixels;
  for (size_t row = 0; row < 24; ++row) {
    pixels.push_back(values[row * 6]);
    for (size_t i = 1; i < 6; ++i) EXPECT_EQ(values[row * 6 + i], values[row * 6]);
  }
  EXPECT_THAT(pixels, testing::ElementsAre(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11,  //
                                           12, 13, 18, 19, 14, 15, 20, 21, 16, 17, 22, 23));
}

TEST(QwenVlImageConfigTest, BoundsStandUnderTwoNames) {
  const auto bounds = [](const char* json) {
    const QwenVlImageConfig config = QwenVlImageConfig::from_json(Json::parse(json));
    return std::pair(config.min_pixels, config.max_pixels);
  };
  EXPECT_EQ(bounds("{}"), std::pair(int64_t{3136}, int64_t{1003520}));
  EXPECT_EQ(bounds(R"({"size": {"shortest_edge": 10, "longest_edge": 20}})"),
            std::pair(int64_t{10}, int64_t{20}));
  EXPECT_EQ(bounds(R"({"size": {"shortest_edge": 10, "longest_edge": 20}, "max_pixels": 30})"),
            std::pair(int64_t{10}, int64_t{30}));
}

TEST(QwenVlImageConfigTest, WhatItCannotDoIsNamed) {
  const auto message = [](const char* json) {
    return message_of<ConfigError>([&] { QwenVlImageConfig::from_json(Json::parse(json)); });
  };
  EXPECT_THAT(message(R"({"image_processor_type": "CLIPImageProcessor"})"),
              HasSubstr("'image_processor_type' is 'CLIPImageProcessor', expected Qwen2VL"));
  EXPECT_THAT(message(R"({"size": 5})"), HasSubstr("'size' is not an object"));
  EXPECT_THAT(message(R"({"min_pixels": 50, "max_pixels": 40})"),
              HasSubstr("'min_pixels' is 50, expected 1 to 40"));
  EXPECT_THAT(message(R"({"patch_size": 0})"), HasSubstr("'patch_size' is 0"));
  for (const char* known : {"Qwen2VLImageProcessorFast", "Qwen2_5_VLImageProcessor"}) {
    EXPECT_NO_THROW(QwenVlImageConfig::from_json({{"image_processor_type", known}})) << known;
  }
}

TEST(MropePositionIdsTest, PicturesCountInThreeDirections) {
  constexpr int64_t F = kImageFeature;
  std::vector<PreparedPicture> pictures(2);
  pictures[0].layout.grid = ImageSize{4, 6};  // 2 x 3 cells
  pictures[1].layout.grid = ImageSize{4, 4};
  const std::vector<int64_t> ids = {1, 2, 9, F, F, F, F, F, F, 8, 5, 9, F, F, F, F, 8, 7, 8};
  const std::vector<int64_t> expected = {
      0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8, 9, 9,  9,  9,  11, 12, 13,   // time
      0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7, 8, 9, 9,  10, 10, 11, 12, 13,   // height
      0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 9,  10, 11, 12, 13};  // width
  EXPECT_EQ(mrope_position_ids(ids, pictures, 2), expected);
  EXPECT_TRUE(mrope_position_ids(std::vector<int64_t>{1, 2}, {}, 2).empty());
}

TEST(PatchCoordinatesTest, GridsThatContradictTheirRowsAreRefused) {
  const auto image = [](int64_t rows, std::optional<ImageSize> grid) {
    return ImageSpan{.num_rows = rows, .layout = {.anyres = {}, .grid = grid}};
  };
  EXPECT_NO_THROW(patch_coordinates({image(8, ImageSize{2, 4})}, 2));
  EXPECT_THROW(patch_coordinates({image(8, std::nullopt)}, 2), InputError);
  EXPECT_THROW(patch_coordinates({image(9, ImageSize{2, 4})}, 2), InputError);
  EXPECT_THROW(patch_coordinates({image(6, ImageSize{2, 3})}, 2), InputError);
}

}  // namespace
}  // namespace e5v::detail
