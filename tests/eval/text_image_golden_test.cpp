#include "e5v/eval/text_image.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/image/decode.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// The font of a golden, where this machine has it.
fs::path find_golden_font(const std::string& name) {
  const std::vector<fs::path> paths =
      name == "dejavu"
          ? std::vector<fs::path>{"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"}
          : std::vector<fs::path>{shared_data("fonts/Liberation/LiberationSans-Regular.ttf")};
  for (const fs::path& path : paths) {
    if (fs::exists(path)) return path;
  }
  return {};
}

class TextImageGoldenTest : public testing::TestWithParam<const char*> {
 protected:
  const Json golden_ = read_json(E5V_SOURCE_DIR "/tests/goldens/text_image/golden.json");
  const Json& expected_ = golden_["fonts"][GetParam()];
  const fs::path font_ = find_golden_font(GetParam());
};

TEST_P(TextImageGoldenTest, LinesAndPositionsEqualPillows) {
  if (font_.empty()) GTEST_SKIP() << GetParam() << " is not on this machine";
  const TextImageRenderer renderer({.font = font_});
  for (const Json& caption : expected_["captions"]) {
    const auto text = caption["text"].get<std::string>();
    SCOPED_TRACE(text);
    const auto lines = renderer.layout(text);
    ASSERT_EQ(lines.size(), caption["lines"].size());
    for (size_t i = 0; i < lines.size(); ++i) {
      EXPECT_EQ(lines[i].text, caption["lines"][i].get<std::string>());
      EXPECT_EQ(lines[i].length, caption["lengths"][i].get<double>());
      EXPECT_EQ(lines[i].top, caption["positions"][i].get<int64_t>());
    }
  }
}

TEST_P(TextImageGoldenTest, PixelsEqualPillowsButForEdges) {
  if (font_.empty()) GTEST_SKIP() << GetParam() << " is not on this machine";
  const Image expected =
      load_image(fmt::format("{}/tests/goldens/text_image/{}.png", E5V_SOURCE_DIR, GetParam()));
  const Image actual = TextImageRenderer({.font = font_})
                           .render(expected_["captions"][2]["text"].get<std::string>());
  ASSERT_EQ(actual.size(), expected.size());
  const int tolerance = golden_["tolerance"]["pixel"];
  int64_t num_off = 0;
  for (size_t i = 0; i < actual.rgb.size(); ++i) {
    num_off += std::abs(int{actual.rgb[i]} - int{expected.rgb[i]}) > tolerance;
  }
  EXPECT_LE(static_cast<double>(num_off) / static_cast<double>(actual.rgb.size()),
            golden_["tolerance"]["share"].get<double>());
}

INSTANTIATE_TEST_SUITE_P(Golden, TextImageGoldenTest, testing::Values("dejavu", "liberation"));

TEST(TextImageTest, AWordWiderThanALineHasOneOfItsOwn) {
  const TextImageRenderer renderer;
  const auto lines = renderer.layout("a " + std::string(500, 'w') + " b");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].text, "a ");
  EXPECT_EQ(lines[2].text, "b ");
  EXPECT_EQ(renderer.render(std::string(500, 'w')).size(), (ImageSize{400, 800}));
}

TEST(TextImageTest, AnythingIsDrawnSomehow) {
  const TextImageRenderer renderer;
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "line ";
  EXPECT_EQ(renderer.render(many).size(), (ImageSize{400, 800}));  // taller than the picture
  EXPECT_EQ(renderer.render("\xff\xfe \x01 \xe4\xb8\xad").size(), (ImageSize{400, 800}));
  EXPECT_TRUE(renderer.layout(" \t\n").empty());
}

TEST(TextImageTest, SaysWhatIsWrongWithAFont) {
  EXPECT_THROW(TextImageRenderer({.font = "/nowhere.ttf"}), FileError);
  EXPECT_THROW(TextImageRenderer({.font = E5V_SOURCE_DIR "/README.md"}), FormatError);
  EXPECT_THROW(TextImageRenderer({.width = 30}), ConfigError);
}

TEST(SplitWordsTest, SplitsAtWhatPythonTakesForWhiteSpace) {
  EXPECT_EQ(split_words(" a\u00a0b\t\u3000c\x1c"
                        "d\n"),
            (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(split_words("a\u200bb"), (std::vector<std::string>{"a\u200bb"}));
}

}  // namespace
}  // namespace e5v::detail
