#include "e5v/base/base64.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace e5v::detail {
namespace {

TEST(Base64Test, IsItsOwnInverse) {
  EXPECT_EQ(encode_base64({}), "");
  const std::string text = "any carnal pleas";
  for (size_t size = 0; size <= text.size(); ++size) {
    const auto bytes = std::as_bytes(std::span(text).first(size));
    const std::string encoded = encode_base64(bytes);
    const auto decoded = decode_base64(encoded);
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(std::equal(decoded->begin(), decoded->end(), bytes.begin(), bytes.end()));
    // Padding may be left out.
    EXPECT_EQ(decode_base64(encoded.substr(0, encoded.find('='))), decoded);
  }
  EXPECT_EQ(encode_base64(std::as_bytes(std::span("any", 3))), "YW55");
  EXPECT_EQ(decode_base64("-_8="), decode_base64("+/8="));
}

TEST(Base64Test, RefusesWhatIsNone) {
  for (const char* bad : {"a", "abcde", "ab=c", "====", "ab===", "a b c d",
                          "ab\xff"
                          "d",
                          "abc*"}) {
    EXPECT_EQ(decode_base64(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace e5v::detail
