#include "e5v/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace e5v::detail {
namespace {

TEST(ErrorTest, FileErrorNamesPathActionAndReason) {
  const FileError error("a/b.json", "cannot open", system_reason(ENOENT));
  EXPECT_STREQ(error.what(), "a/b.json: cannot open: No such file or directory");
}

TEST(ErrorTest, APathWithControlCharactersStaysOneLine) {
  const FormatError error("a\nb\x1b[2J.json", "is empty");
  EXPECT_STREQ(error.what(), "a\\x0ab\\x1b[2J.json: is empty");
}

TEST(PrintableTest, KeepsTextAndShowsBytesThatAreNone) {
  EXPECT_EQ(printable("naïve 東京 🙂"), "naïve 東京 🙂");
  EXPECT_EQ(printable("a\x80\xff\n\x7f"), "a\\x80\\xff\\x0a\\x7f");
  EXPECT_EQ(printable("\xe6\x9d"), "\\xe6\\x9d");  // the first two bytes of three
}

TEST(PrintableTest, CutsLongTextBetweenCharacters) {
  const std::string shown = printable("ääääää", 5);
  EXPECT_EQ(shown, "äää…");
  EXPECT_EQ(printable(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(printable(std::string(81, 'x')), std::string(80, 'x') + "…");
}

TEST(AssertTest, ABrokenInvariantIsALogicErrorWithItsPlace) {
  try {
    E5V_ASSERT(1 + 1 == 3);
    FAIL() << "nothing was thrown";
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find("error_test.cpp"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("1 + 1 == 3"), std::string::npos);
  }
}

}  // namespace
}  // namespace e5v::detail
