#include "e5v/hub/http.h"

#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(UrlOriginTest, IgnoresCaseAndWritesThePortOut) {
  EXPECT_EQ(url_origin("https://Hub.Example/a?b#c"), "https://hub.example:443");
  EXPECT_EQ(url_origin("http://hub.example:8080"), "http://hub.example:8080");
  EXPECT_EQ(url_origin("HTTP://hub.example"), "http://hub.example:80");
  EXPECT_NE(url_origin("https://hub.example"), url_origin("https://hub.example.evil.example"));
  EXPECT_EQ(url_origin("https://hub.example@evil.example/"), "https://evil.example:443");
  EXPECT_EQ(url_origin("http://[::1]:9/x"), "http://[::1]:9");
}

TEST(UrlOriginTest, RefusesOtherSchemesAndWhatIsNoUrl) {
  for (const char* url : {"", "hub", "file:///etc/passwd", "ftp://x", "https://", "http://a b/"}) {
    EXPECT_THROW(url_origin(url), InputError) << url;
  }
}

}  // namespace
}  // namespace e5v::detail
