#include "e5v/shapes/draw_text.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

int64_t num_black(const Image& image) {
  int64_t count = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3) count += image.rgb[i] == 0 ? 1 : 0;
  return count;
}

TEST(DrawTextTest, EveryLetterLooksDifferent) {
  std::set<std::vector<uint8_t>> pictures;
  const std::string letters = "abcdefghijklmnopqrstuvwxyz.,:?";
  for (const char letter : letters) pictures.insert(draw_text(std::string(1, letter), 24).rgb);
  EXPECT_EQ(pictures.size(), letters.size());
  EXPECT_EQ(draw_text("A", 24).rgb, draw_text("a", 24).rgb);
  EXPECT_EQ(num_black(draw_text(" ", 24)), 0);
  EXPECT_EQ(num_black(draw_text("\xc3", 24)), 20);  // a box of 5 x 7
}

TEST(DrawTextTest, LinesAreBrokenAtBlanks) {
  // Seven columns: "a small" fits, "red circle" does not.
  const Image image = draw_text("a small red circle", 48);
  std::set<int64_t> rows;
  for (int64_t y = 0; y < 48; ++y) {
    for (int64_t x = 0; x < 48; ++x) {
      if (image.row(y)[3 * x] == 0) rows.insert(y / 9);
    }
  }
  EXPECT_EQ(num_black(image), num_black(draw_text("a small", 48)) +
                                  num_black(draw_text("red", 48)) +
                                  num_black(draw_text("circle", 48)));
}

TEST(DrawTextTest, ATextThatDoesNotFitIsRefused) {
  EXPECT_THROW(draw_text("a small red circle on a gray background", 24), InputError);
  EXPECT_THROW(draw_text("a", 3), InputError);
  EXPECT_NO_THROW(draw_text("", 24));
}

}  // namespace
}  // namespace e5v::detail
