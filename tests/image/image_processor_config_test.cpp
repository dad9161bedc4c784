#include "e5v/image/image_processor_config.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

ImageProcessorConfig parse(const char* text) {
  return ImageProcessorConfig::from_json(Json::parse(text));
}

std::string error_of(const char* text) {
  try {
    parse(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ImageProcessorConfigTest, ReadsAPublishedLlavaNextFile) {
  const auto config = parse(R"({
    "aspect_ratio_setting": "anyres", "crop_size": {"height": 336, "width": 336},
    "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_pad": true,
    "do_rescale": true, "do_resize": true,
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "LlavaNextImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711], "processor_class": "LlavaNextProcessor",
    "resample": 3, "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 336}})");
  EXPECT_EQ(config.image_grid_pinpoints.size(), 5u);
  EXPECT_EQ(config.image_grid_pinpoints[3], (ImageSize{1008, 336}));
  EXPECT_EQ(config.tile_size(), 336);
  EXPECT_EQ(config.shortest_edge, 336);
  EXPECT_FALSE(config.pad_to_square);
  EXPECT_EQ(config.resample, Resample::kBicubic);
}

TEST(ImageProcessorConfigTest, AcceptsTheKnownFormsOfSizes) {
  EXPECT_EQ(parse(R"({"size": 336, "crop_size": 336})").shortest_edge, 336);
  EXPECT_EQ(parse(R"({"size": 336, "crop_size": 336})").tile_size(), 336);
  EXPECT_EQ(parse(R"({"size": {"height": 30, "width": 40}})").size, (ImageSize{30, 40}));
  EXPECT_EQ(parse(R"({"size": {"height": 30, "width": 40}})").shortest_edge, 0);
  EXPECT_EQ(parse(R"({"size": [30, 40], "crop_size": [28, 28]})").size, (ImageSize{30, 40}));
  EXPECT_EQ(parse(R"({"size": {"height": 30, "width": 30}, "do_center_crop": false})").tile_size(),
            30);
  // As transformers 5 writes it: absent values are null.
  EXPECT_EQ(parse(R"({"size": {"shortest_edge": 30, "longest_edge": null, "height": null},
                      "crop_size": null, "do_pad": null})")
                .shortest_edge,
            30);
}

TEST(ImageProcessorConfigTest, HasTheDefaultsOfTransformers) {
  const auto clip = parse("{}");
  EXPECT_TRUE(clip.image_grid_pinpoints.empty());
  EXPECT_EQ(clip.tile_size(), 224);
  const auto anyres = parse(R"({"image_processor_type": "LlavaNextImageProcessorFast",
                                "size": 336, "crop_size": 336})");
  EXPECT_EQ(anyres.image_grid_pinpoints.size(), 5u);
  EXPECT_TRUE(
      parse(R"({"image_processor_type": "LlavaImageProcessor", "do_pad": true})").pad_to_square);
  EXPECT_FALSE(
      parse(R"({"image_processor_type": "CLIPImageProcessor", "do_pad": true})").pad_to_square);
  EXPECT_TRUE(parse(R"({"image_aspect_ratio": "pad"})").pad_to_square);
}

TEST(ImageProcessorConfigTest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(error_of(R"({"image_processor_type": "Qwen2VLImageProcessorFast"})"),
              HasSubstr("'Qwen2VLImageProcessor'"));
  EXPECT_THAT(error_of("[]"), HasSubstr("array"));
  EXPECT_THAT(error_of(R"({"size": "big"})"), HasSubstr("'size'"));
  EXPECT_THAT(error_of(R"({"size": {"shortest_edge": 3, "longest_edge": 9}})"),
              HasSubstr("longest_edge"));
  EXPECT_THAT(error_of(R"({"size": 0})"), HasSubstr("'size' has 0"));
  EXPECT_THAT(error_of(R"({"size": 1e9})"), HasSubstr("'size'"));
  EXPECT_THAT(error_of(R"({"crop_size": {"height": 3}})"), HasSubstr("'crop_size'"));
  EXPECT_THAT(error_of(R"({"crop_size": [3, 4]})"), HasSubstr("square"));
  EXPECT_THAT(error_of(R"({"crop_size": -1})"), HasSubstr("'crop_size' has -1"));
  EXPECT_THAT(error_of(R"({"resample": 6})"), HasSubstr("'resample' is 6"));
  EXPECT_THAT(error_of(R"({"resample": "bicubic"})"), HasSubstr("'resample'"));
  EXPECT_THAT(error_of(R"({"image_mean": [1, 2]})"), HasSubstr("'image_mean' has 2"));
  EXPECT_THAT(error_of(R"({"image_std": [1, 0, 1]})"), HasSubstr("'image_std'"));
  EXPECT_THAT(error_of(R"({"do_center_crop": false})"), HasSubstr("'do_center_crop'"));
  EXPECT_THAT(error_of(R"({"do_resize": 1})"), HasSubstr("'do_resize'"));
  EXPECT_THAT(error_of(R"({"image_grid_pinpoints": []})"), HasSubstr("'image_grid_pinpoints'"));
  EXPECT_THAT(error_of(R"({"image_grid_pinpoints": 7})"), HasSubstr("'image_grid_pinpoints'"));
  EXPECT_THAT(error_of(R"({"image_grid_pinpoints": [[224]]})"), HasSubstr("[224]"));
  EXPECT_THAT(error_of(R"({"image_grid_pinpoints": [[224, 225]]})"), HasSubstr("multiples"));
  EXPECT_THAT(error_of(R"({"image_grid_pinpoints": [[0, 224]]})"), HasSubstr("has 0"));
  EXPECT_THAT(error_of(R"({"image_grid_pinpoints": [[22400, 22400]]})"), HasSubstr("tiles"));
}

}  // namespace
}  // namespace e5v::detail
