#include "e5v/server/route.h"

#include <gtest/gtest.h>

#include <set>

namespace e5v::detail {
namespace {

TEST(MatchPathTest, TakesTheWholePathAndOneSegmentForTheParameter) {
  const Route plain{.path = "/v1/models"};
  EXPECT_EQ(match_path(plain, "/v1/models"), "");
  EXPECT_EQ(match_path(plain, "/v1/models/"), std::nullopt);
  EXPECT_EQ(match_path(plain, "/v1/model"), std::nullopt);
  const Route image{.path = "/v1/items/{id}/image"};
  EXPECT_EQ(match_path(image, "/v1/items/5/image"), "5");
  EXPECT_EQ(match_path(image, "/v1/items/a b/image"), "a b");
  for (const char* path : {"/v1/items//image", "/v1/items/image", "/v1/items/5",
                           "/v1/items/5/images", "/v1/items/a/b/image", "/v1/items/../../image"}) {
    EXPECT_EQ(match_path(image, path), std::nullopt) << path;
  }
  const Route last{.path = "/v1/models/{id}"};
  EXPECT_EQ(match_path(last, "/v1/models/a"), "a");
  EXPECT_EQ(match_path(last, "/v1/models/"), std::nullopt);
}

TEST(RoutesTest, AreOneForEachMethodAndPathAndEachIsAnswered) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const Route& route : routes()) {
    EXPECT_TRUE(seen.emplace(route.method, route.path).second) << route.path;
    EXPECT_NE(route.answer == nullptr, route.answer_always == nullptr) << route.path;
  }
}

}  // namespace
}  // namespace e5v::detail
