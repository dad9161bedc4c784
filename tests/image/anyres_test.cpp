#include "e5v/image/anyres.h"

#include <gtest/gtest.h>

#include <vector>

#include "e5v/base/error.h"
#include "tests/image/image_support.h"

namespace e5v::detail {
namespace {

const std::vector<ImageSize> kPinpoints = {
    {336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};

std::vector<int32_t> values_of(const AnyresLayout& layout) {
  std::vector<int32_t> values;
  for (const int64_t value :
       {layout.best_resolution.height, layout.best_resolution.width, layout.first_row,
        layout.kept_rows, layout.first_column, layout.kept_columns, layout.num_tokens()}) {
    values.push_back(static_cast<int32_t>(value));
  }
  return values;
}

class AnyresGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(AnyresGoldenTest, LayoutsEqualTransformers) {
  const Json golden = read_golden("image_tiles")["layouts"][GetParam()];
  const ImageProcessing rule = find_image_processing(GetParam()).value();
  for (const Json& chosen : golden["chosen"]) {
    const AnyresLayout layout = anyres_layout(json_size(chosen["size"]), kPinpoints, 336, 24, rule);
    EXPECT_EQ(values_of(layout), chosen["layout"].get<std::vector<int32_t>>())
        << chosen["size"].dump();
  }
  std::vector<int32_t> every;
  for (int64_t height = 1; height < 700; ++height) {
    for (int64_t width = 1; width < 700; ++width) {
      const auto values = values_of(anyres_layout({height, width}, kPinpoints, 336, 24, rule));
      every.insert(every.end(), values.begin(), values.end());
    }
  }
  EXPECT_EQ(crc32_of_values<int32_t>(every), golden["all_below_700_crc32"].get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Rules, AnyresGoldenTest, testing::Values("current", "4.41"));

TEST(AnyresTest, TheRulesKeepDifferentPatchesForTenSizesBelow700) {
  int num_different = 0;
  for (int64_t height = 1; height < 700; ++height) {
    for (int64_t width = 1; width < 700; ++width) {
      const ImageSize size{height, width};
      const auto current = anyres_layout(size, kPinpoints, 336, 24, ImageProcessing::kCurrent);
      const auto before = anyres_layout(size, kPinpoints, 336, 24, ImageProcessing::k4_41);
      num_different += current.num_tokens() != before.num_tokens();
    }
  }
  EXPECT_EQ(num_different, 10);
}

TEST(AnyresTest, TheFirstResolutionWinsTies) {
  const std::vector<ImageSize> pinpoints = {{336, 672}, {672, 336}};
  EXPECT_EQ(select_best_resolution({100, 100}, pinpoints), (ImageSize{336, 672}));
  const std::vector<ImageSize> reversed = {{672, 336}, {336, 672}};
  EXPECT_EQ(select_best_resolution({100, 100}, reversed), (ImageSize{672, 336}));
  // A tall line that fits into the first one at its own size.
  EXPECT_EQ(select_best_resolution({200, 1}, kPinpoints), (ImageSize{336, 672}));
}

TEST(AnyresTest, AThinLineKeepsNoColumnsOrNoRows) {
  const auto tall = anyres_layout({200, 1}, kPinpoints, 336, 24, ImageProcessing::kCurrent);
  EXPECT_EQ(tall.kept_columns, 0);
  EXPECT_EQ(tall.num_tokens(), 576 + tall.kept_rows);
  const auto wide = anyres_layout({1, 200}, kPinpoints, 336, 24, ImageProcessing::kCurrent);
  EXPECT_EQ(wide.kept_rows, 0);
  EXPECT_EQ(wide.num_tokens(), 576);
}

TEST(AnyresTest, FitsIntoATargetWithoutGoingBeyondIt) {
  EXPECT_EQ(fit_into({427, 640}, {672, 672}), (ImageSize{449, 672}));
  EXPECT_EQ(fit_into({1, 100000}, {336, 672}), (ImageSize{1, 672}));
  EXPECT_EQ(fit_into({100000, 1}, {336, 672}), (ImageSize{336, 1}));
}

TEST(AnyresTest, RefusesWhatHasNoTiles) {
  EXPECT_THROW(select_best_resolution({0, 5}, kPinpoints), InputError);
  EXPECT_THROW(select_best_resolution({5, 5}, {}), InputError);
  EXPECT_THROW(anyres_layout({5, 5}, kPinpoints, 2000, 24, ImageProcessing::kCurrent), InputError);
}

TEST(AnyresTest, KnowsItsRulesByName) {
  EXPECT_EQ(find_image_processing("current"), ImageProcessing::kCurrent);
  EXPECT_EQ(find_image_processing("4.41"), ImageProcessing::k4_41);
  EXPECT_EQ(find_image_processing("4.42"), std::nullopt);
  EXPECT_EQ(image_processing_name(ImageProcessing::k4_41), "4.41");
}

}  // namespace
}  // namespace e5v::detail
