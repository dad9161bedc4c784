#include "e5v/image/image_processor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/image/decode.h"
#include "tests/image/image_support.h"

namespace e5v::detail {
namespace {

Image golden_picture(const Json& source) {
  if (source.contains("file")) {
    return load_image(golden_folder("image_decode") / "files" / source["file"].get<std::string>(),
                      {.apply_exif_orientation = false});
  }
  const ImageSize size = json_size(source["size"]);
  return formula_image(size.height, size.width);
}

TEST(ImageProcessorGoldenTest, TilesAndValuesEqualTransformers) {
  const Json golden = read_golden("image_tiles");
  int num_tiles = 0;
  for (const Json& example : golden["cases"]) {
    const Json& config = golden["configs"][example["config"].get<std::string>()];
    const ImageProcessor processor(
        ImageProcessorConfig::from_json(config),
        find_image_processing(example["rule"].get<std::string>()).value());
    const ImageTiles tiles = processor.tiles(golden_picture(example));
    EXPECT_EQ(tiles.original, json_size(example["size"]));
    ASSERT_EQ(static_cast<size_t>(tiles.num_tiles), example["tiles"].size()) << example.dump();
    const size_t tile_bytes = tiles.rgb.size() / tiles.num_tiles;
    for (int64_t i = 0; i < tiles.num_tiles; ++i) {
      EXPECT_EQ(crc32(std::span(tiles.rgb).subspan(i * tile_bytes, tile_bytes)),
                example["tiles"][i].get<std::string>())
          << "tile " << i << " of " << example.dump();
      ++num_tiles;
    }
    const std::vector<float> values = processor.pixel_values(tiles);
    EXPECT_EQ(crc32_of_values<float>(values), example["values"].get<std::string>())
        << example.dump();
  }
  EXPECT_GE(num_tiles, 400);
}

/// The same for one picture whose arrays are at hand, so that a difference can be looked at.
TEST(ImageProcessorGoldenTest, OnePictureEqualsTransformersByteByByte) {
  const auto folder = golden_folder("image_tiles");
  const ImageProcessor processor(
      ImageProcessorConfig::from_json(read_golden("image_tiles")["configs"]["anyres_28"]));
  const ImageTiles tiles = processor.tiles(formula_image(427, 640));
  const std::string expected_tiles = read_file(folder / "anyres_28_427x640_tiles.bin");
  ASSERT_EQ(tiles.rgb.size(), expected_tiles.size());
  for (size_t i = 0; i < tiles.rgb.size(); ++i) {
    ASSERT_EQ(tiles.rgb[i], static_cast<uint8_t>(expected_tiles[i])) << "at byte " << i;
  }
  const std::vector<float> values = processor.pixel_values(tiles);
  const std::string bytes = read_file(folder / "anyres_28_427x640_values.bin");
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], expected[i]) << "at " << i;
}

ImageProcessorConfig anyres_config() {
  ImageProcessorConfig config;
  config.image_grid_pinpoints = {{28, 56}, {56, 28}, {56, 56}, {84, 28}, {28, 84}};
  config.shortest_edge = 28;
  config.crop_size = {28, 28};
  return config;
}

TEST(ImageProcessorTest, TheRulesDifferWhereThePaddingIsOdd) {
  const ImageProcessor current(anyres_config(), ImageProcessing::kCurrent);
  const ImageProcessor before(anyres_config(), ImageProcessing::k4_41);
  const Image odd = formula_image(30, 60);   // 28 x 56, no padding
  const Image even = formula_image(37, 56);  // 37 rows in 56: 19 rows of padding
  EXPECT_EQ(current.tiles(odd).rgb, before.tiles(odd).rgb);
  EXPECT_NE(current.tiles(even).rgb, before.tiles(even).rgb);
  EXPECT_EQ(current.tiles(even).num_tiles, before.tiles(even).num_tiles);
}

TEST(ImageProcessorTest, CountsTokensFromTheLayout) {
  const ImageProcessor processor(anyres_config());
  const ImageSize size{28, 56};
  EXPECT_EQ(processor.num_tokens(size, 14), 2 * 2 + 2 * (4 + 1));
  EXPECT_EQ(processor.layout(size, 14).num_tiles(), 3);
  EXPECT_EQ(processor.tiles(formula_image(28, 56)).num_tiles, 3);
  EXPECT_THROW(processor.num_tokens(size, 13), ConfigError);

  ImageProcessorConfig single;
  EXPECT_EQ(ImageProcessor(single).num_tokens(size, 14), 16 * 16);
  EXPECT_THROW(ImageProcessor(single).num_tokens(size, 0), ConfigError);
}

TEST(ImageProcessorTest, RefusesImagesThatCannotBeResized) {
  const ImageProcessor anyres(anyres_config());
  EXPECT_THROW(anyres.tiles(Image()), InputError);
  const ImageProcessor single{ImageProcessorConfig()};
  EXPECT_THROW(single.tiles(Image()), InputError);
  EXPECT_THROW(single.tiles(Image(1, 1'000'000)), InputError);  // 224 x 224 000 000
  EXPECT_EQ(anyres.tiles(Image(1, 1'000'000)).num_tiles, 3);
  ImageProcessorConfig padding;
  padding.pad_to_square = true;
  EXPECT_THROW(ImageProcessor(padding).tiles(Image(1, 1'000'000)), InputError);
}

TEST(ImageProcessorTest, LoadsEitherConfigurationFile) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "e5v_image_processor";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  EXPECT_THROW(ImageProcessor::load(folder), FileError);

  write_file(folder / "processor_config.json",
             R"({"image_processor": {"image_processor_type": "CLIPImageProcessorFast",
                 "size": 30, "crop_size": 28}, "processor_class": "LlavaProcessor"})");
  const ImageProcessor nested = ImageProcessor::load(folder);
  EXPECT_FALSE(nested.is_anyres());
  EXPECT_EQ(nested.config().shortest_edge, 30);

  write_file(folder / "preprocessor_config.json",
             R"({"image_processor_type": "LlavaNextImageProcessor", "size": {"shortest_edge": 336},
                 "crop_size": {"height": 336, "width": 336}})");
  const ImageProcessor own = ImageProcessor::load(folder, ImageProcessing::k4_41);
  EXPECT_TRUE(own.is_anyres());
  EXPECT_EQ(own.rule(), ImageProcessing::k4_41);
  EXPECT_EQ(own.num_tokens({480, 640}, 14), 576 + 36 * 49);

  write_file(folder / "preprocessor_config.json", R"({"resample": 9})");
  try {
    ImageProcessor::load(folder);
    FAIL() << "loaded";
  } catch (const ConfigError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("preprocessor_config.json"), message.npos) << message;
    EXPECT_NE(message.find("'resample' is 9"), message.npos) << message;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace e5v::detail
