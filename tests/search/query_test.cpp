#include "e5v/search/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "e5v/base/error.h"

namespace e5v {
namespace {

TEST(QueryItemsTest, AreTheMainItemAndWhatIsAddedAndTakenAway) {
  const QueryItem query{.text = "a", .plus = {"b"}, .minus = {"c", "d"}};
  const std::vector<Item> items = query_items(query, {});
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].text, "a");
  EXPECT_EQ(items[0].task, "");
  EXPECT_EQ(items[1].text, "b");
  EXPECT_EQ(items[3].text, "d");
}

TEST(QueryItemsTest, APictureChangedByWordsIsComposedRetrieval) {
  const QueryItem query{.text = "at night", .image = std::filesystem::path("a.jpg")};
  EXPECT_EQ(query_items(query, {})[0].task, "cirr");
  EXPECT_EQ(query_items(query, {.prompt = "<image><sent>"})[0].task, "");
  EXPECT_THROW(query_items({}, {}), InputError);
}

TEST(CombineQueryTest, AddsWithWeightsAndNormalizes) {
  EXPECT_THAT(combine_query({.text = "a"}, {{0.6f, 0.8f}}), testing::ElementsAre(0.6f, 0.8f));
  const auto minus = combine_query({.text = "a", .minus = {"b"}}, {{1, 0}, {0, 1}});
  EXPECT_NEAR(minus[0], 0.70710678, 1e-6);
  EXPECT_NEAR(minus[1], -0.70710678, 1e-6);
  const auto heavy = combine_query({.text = "a", .plus = {"b"}, .weight = 3}, {{1, 0}, {0, 1}});
  EXPECT_NEAR(heavy[0], 3 / std::sqrt(10.0), 1e-6);
}

TEST(CombineQueryTest, RefusesWhatCancelsOutOrIsNotFinite) {
  EXPECT_THROW(combine_query({.text = "a", .minus = {"a"}}, {{1, 0}, {1, 0}}), InputError);
  EXPECT_THROW(combine_query({.text = "a", .weight = NAN}, {{1, 0}}), InputError);
}

}  // namespace
}  // namespace e5v
