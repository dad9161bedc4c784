#include "e5v/base/url.h"

#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(UrlEncodeTest, EncodesAllButPlainCharacters) {
  EXPECT_EQ(url_encode("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(url_encode("a b/ä#?%+.json", "/"), "a%20b/%C3%A4%23%3F%25%2B.json");
  EXPECT_EQ(url_encode("-._~"), "-._~");
}

}  // namespace
}  // namespace e5v::detail
