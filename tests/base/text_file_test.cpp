#include "e5v/base/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

std::string error_of(const std::string& bytes) {
  try {
    decode_text(bytes, "file.csv");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

/// ASCII as UTF-16.
std::string utf16(const std::string& text, bool is_big_endian) {
  std::string bytes = is_big_endian ? "\xfe\xff" : "\xff\xfe";
  for (const char c : text) bytes += is_big_endian ? std::string{'\0', c} : std::string{c, '\0'};
  return bytes;
}

TEST(DecodeTextTest, TakesAByteOrderMarkAway) {
  EXPECT_EQ(decode_text("\xef\xbb\xbf"
                        "a\n",
                        ""),
            "a\n");
  EXPECT_EQ(decode_text("a\n", ""), "a\n");
  EXPECT_EQ(decode_text("", ""), "");
  EXPECT_EQ(decode_text("\xef\xbb\xbf", ""), "");
}

TEST(DecodeTextTest, LinesOfAllSystemsEndInLf) {
  EXPECT_EQ(decode_text("a\r\nb\rc\n\rd\r", ""), "a\nb\nc\n\nd\n");
}

TEST(DecodeTextTest, Utf16WithAMarkIsUtf8) {
  EXPECT_EQ(decode_text(utf16("a,b\r\n", false), ""), "a,b\n");
  EXPECT_EQ(decode_text(utf16("a,b\r\n", true), ""), "a,b\n");
  // é, and U+1F534 as a pair of surrogates.
  EXPECT_EQ(decode_text("\xff\xfe\xe9\x00\x3d\xd8\x34\xdd"s, ""), "\u00e9\U0001f534");
  EXPECT_EQ(decode_text("\xfe\xff\x00\xe9\xd8\x3d\xdd\x34"s, ""), "\u00e9\U0001f534");
}

TEST(DecodeTextTest, SaysInWhichLineSomethingIsNoText) {
  EXPECT_THAT(error_of("a\nb \xe9\n"), HasSubstr("file.csv: line 2 is not UTF-8"));
  EXPECT_THAT(error_of(utf16("ab\n", false).substr(2)), HasSubstr("UTF-16 without a byte order"));
  EXPECT_THAT(error_of(utf16("a\nb", false) + "\x3d\xd8"s), HasSubstr("line 2: invalid UTF-16"));
  EXPECT_THAT(error_of(utf16("a", false) + "\x34\xdd"s), HasSubstr("line 1: invalid UTF-16"));
  EXPECT_THAT(error_of(utf16("a", false) + "b"), HasSubstr("is the file cut off?"));
}

std::string mapped(const std::string& bytes) {
  const TemporaryFolder folder;
  write_file(folder / "text", bytes);
  return std::string(MappedText(folder / "text").text());
}

TEST(MappedTextTest, OrdinaryTextIsLeftAlone) {
  EXPECT_EQ(mapped(""), "");
  EXPECT_EQ(mapped("a\r\nb\rc\xff\n"), "a\r\nb\rc\xff\n");
}

TEST(MappedTextTest, OtherFormsAreConverted) {
  EXPECT_EQ(mapped("\xef\xbb\xbf" + "a\n"s), "a\n");
  EXPECT_EQ(mapped("a\rb\r"), "a\nb\n");
  EXPECT_EQ(mapped("\xef\xbb\xbf" + "a\rb"s), "a\nb");
  EXPECT_EQ(mapped(utf16("a\r\nb", true)), "a\nb");
  EXPECT_EQ(mapped(utf16("a\rb", false)), "a\nb");
}

}  // namespace
}  // namespace e5v::detail
