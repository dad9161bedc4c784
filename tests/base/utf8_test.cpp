#include "e5v/base/utf8.h"

#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(Utf8Test, EveryScalarValueSurvivesEncodingAndDecoding) {
  for (char32_t value = 0; value <= 0x10ffff; ++value) {
    if (value >= 0xd800 && value < 0xe000) continue;
    std::string text;
    append_utf8(text, value);
    const Utf8Char c = next_utf8(text, 0);
    ASSERT_TRUE(c.valid) << uint32_t{value};
    ASSERT_EQ(uint32_t{c.code_point}, uint32_t{value});
    ASSERT_EQ(c.size, text.size());
  }
}

TEST(Utf8Test, RefusesWhatRfc3629Refuses) {
  // Overlong '/', overlong in three and four bytes, a surrogate, above U+10FFFF, lone continuation,
  // bytes that occur nowhere, and sequences cut short by the end or by another character.
  for (const std::string text :
       {"\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xbf", "\xfe", "\xff", "\xe2\x82",
        "\xf0\x9f\x99", "\xc3", "\xe2(\xa1", "\xf0\x9f(\x8c"}) {
    const Utf8Char c = next_utf8(text, 0);
    EXPECT_FALSE(c.valid) << text;
    EXPECT_EQ(c.size, 1U);
    EXPECT_EQ(uint32_t{c.code_point}, 0xfffdU);
    EXPECT_EQ(find_invalid_utf8("ok" + text), 2U);
  }
}

TEST(Utf8Test, FindsNothingInvalidInValidText) {
  EXPECT_EQ(find_invalid_utf8(""), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8("a£€🙂\xf4\x8f\xbf\xbf"), std::string_view::npos);
}

}  // namespace
}  // namespace e5v::detail
