#include "e5v/text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

std::vector<std::string> found(const char* pattern, const std::string& text) {
  std::vector<TextRange> matches;
  Regex(pattern).find_all(text, matches);
  std::vector<std::string> words;
  for (const TextRange& match : matches) {
    words.push_back(text.substr(match.begin, match.end - match.begin));
  }
  return words;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(RegexTest, SpaceIsTheUnicodeProperty) {
  // U+0085, U+2028 and U+3000 are white space; U+180E and U+200B no longer are.
  EXPECT_THAT(found(R"(\s)", "a\u0085b\u2028c\u3000d\u180ee\u200bf"),
              ElementsAre("\u0085", "\u2028", "\u3000"));
  EXPECT_THAT(found(R"([^\s]+)", "ab \u180ec"), ElementsAre("ab", "\u180ec"));
  EXPECT_THAT(found(R"(\S+)", "ab \u180ec"), ElementsAre("ab", "\u180ec"));
}

TEST(RegexTest, WordCharactersIncludeMarks) {
  EXPECT_THAT(found(R"(\w+)", "e\u0301a \u0915\u0940 a_b1"),
              ElementsAre("e\u0301a", "\u0915\u0940", "a_b1"));
  EXPECT_THAT(found(R"([\w]+|[^\w\s]+)", "a\u0301! b"), ElementsAre("a\u0301", "!", "b"));
}

TEST(RegexTest, CaseFoldingReachesBeyondAscii) {
  EXPECT_THAT(found(R"((?i:'s|k))", "x'\u017f \u212a 'S"), ElementsAre("'\u017f", "\u212a", "'S"));
}

TEST(RegexTest, HexadecimalDigitsAsOnigurumaHasThem) {
  EXPECT_THAT(found(R"(\h+|[\h]+)", "xyz 1f \t g"), ElementsAre("1f"));
}

TEST(RegexTest, AnEmptyMatchCountsOnceAPlace) {
  std::vector<TextRange> matches;
  Regex("a*").find_all("baä", matches);
  EXPECT_THAT(matches, ElementsAre(TextRange{0, 0}, TextRange{1, 2}, TextRange{4, 4}));
  Regex("x").find_all("", matches);
  EXPECT_THAT(matches, IsEmpty());
}

TEST(RegexTest, RefusesWhatItWouldReadOtherwise) {
  for (const char* pattern : {"[a&&b]", "[a[bc]]", R"([\W])", R"(\H)", "(", "[a", "a{2,1}",
                              R"(\p{Nope})", "[[:alpha]", R"(\C)"}) {
    EXPECT_THROW(Regex{pattern}, ConfigError) << pattern;
  }
  EXPECT_THAT(found("[[:digit:]a]+", "12ab"), ElementsAre("12a"));
  EXPECT_THAT(found("[]a]+", "]ab"), ElementsAre("]a"));
  EXPECT_THAT(found(R"([\]\[]+)", "[]a"), ElementsAre("[]"));
}

TEST(RegexTest, GivesUpOnAPatternThatBacktracksWithoutEnd) {
  std::vector<TextRange> matches;
  EXPECT_THROW(Regex("(a|a)*(a|a)*(a|a)*(a|a)*b").find_all(std::string(5000, 'a') + "cb", matches),
               InputError);
}

}  // namespace
}  // namespace e5v::detail
