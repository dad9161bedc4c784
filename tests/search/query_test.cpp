#include "e5v/search/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

TEST(QueryItemsTest, AreTheMainItemAndWhatIsAddedAndTakenAway) {
  const QueryItem query{.text = "a", .plus = {"b"}, .minus = {"c", "d"}};
  const std::vector<Item> items = query_items(query, {});
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].text, "a");
  for (const Item& item : items) EXPECT_EQ(item.task, "query");
  EXPECT_EQ(items[1].text, "b");
  EXPECT_EQ(items[3].text, "d");
  EXPECT_EQ(query_items(query, {.task = "sts"})[0].task, "sts");
  EXPECT_EQ(query_items(query, {.prompt = "<sent>"})[0].task, "");
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

/// A collection of a text, item 1, an indexed file, item 2, and an uploaded picture, item 3.
class SearchByItemTest : public testing::Test {
 protected:
  SearchByItemTest() {
    Collection::create(folder_ / "c", {.dimensions = 2});
    collection_.emplace(folder_ / "c");
    write_file(file_, "pixels");
    collection_->apply(
        {.added = {
             {.item = {.kind = "text", .path = "note", .text = "a"}, .vector = {1, 0}},
             {.item =
                  {.kind = "image", .path = file_.native(), .mtime_ns = 5, .hash = "of the file"},
              .vector = {0, 1}},
             {.item = {.kind = "image", .path = "upload", .hash = "of the upload"},
              .vector = {0.6f, 0.8f},
              .content = "bytes"}}});
  }

  std::string problem(QueryItem query, int64_t id) {
    return message_of<InputError>([&] { search_by_item(query, id, *collection_); });
  }

  /// Of the picture that a query with words asks about.
  std::string picture_of(int64_t id) {
    QueryItem query{.text = "at night"};
    search_by_item(query, id, *collection_);
    const auto& bytes = std::get<std::vector<std::byte>>(query.image.value());
    EXPECT_EQ(query_items(query, {})[0].task, "cirr");
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "a.png";
  std::optional<Collection> collection_;
};

TEST_F(SearchByItemTest, TakesTheItemsVectorAndEmbedsTheRest) {
  QueryItem query{.minus = {"b"}};
  search_by_item(query, 3, *collection_);
  const std::vector<Item> items = query_items(query, {});
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].text, "b");
  const auto combined = combine_query(query, {{0.6f, 0}});
  EXPECT_NEAR(combined[0], 0, 1e-6);
  EXPECT_NEAR(combined[1], 1, 1e-6);

  QueryItem alone;
  search_by_item(alone, 1, *collection_);
  EXPECT_TRUE(query_items(alone, {}).empty());
  EXPECT_THAT(combine_query(alone, {}), testing::ElementsAre(1, 0));
}

TEST_F(SearchByItemTest, WithWordsTakesTheItemsPicture) {
  EXPECT_EQ(picture_of(2), "pixels");
  EXPECT_EQ(picture_of(3), "bytes");
}

TEST_F(SearchByItemTest, SaysWhatIsWrong) {
  EXPECT_EQ(problem({}, 9), "there is no item 9");
  EXPECT_EQ(problem({.text = "at night"}, 9), "there is no item 9");
  EXPECT_EQ(problem({.text = "at night"}, 1), "the picture of item 1 is not there any more");
  std::filesystem::remove(file_);
  EXPECT_EQ(problem({.text = "at night"}, 2), "the picture of item 2 is not there any more");
  EXPECT_EQ(problem({.image = file_}, 2), "'image' and 'item' are given, expected one of them");
}

}  // namespace
}  // namespace e5v::detail
