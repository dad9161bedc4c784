#include "e5v/cli/suggest.h"

#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(EditDistanceTest, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("embed", "embed"), 0U);
  EXPECT_EQ(edit_distance("embde", "embed"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ab", "ba"), 1U);
}

TEST(NearestTest, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> known = {"embed", "pull", "preprocess"};
  EXPECT_EQ(nearest("embde", known), "embed");
  EXPECT_EQ(nearest("prepocess", known), "preprocess");
  EXPECT_EQ(nearest("pu", known), std::nullopt);  // half of it is missing
  EXPECT_EQ(nearest("xyzzy", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest("prep", known), "preprocess");  // its beginning
  EXPECT_EQ(nearest(std::string(1'000'000, 'e'), known), std::nullopt);
}

}  // namespace
}  // namespace e5v::detail
