#include "e5v/shapes/gallery.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "e5v/base/error.h"
#include "tests/shapes/words.h"

namespace e5v::detail {
namespace {

class GalleryTest : public testing::TestWithParam<SceneSplit> {};

TEST_P(GalleryTest, RandomScenesAreDistinctAndOfTheSplit) {
  SplitMix64 random(1);
  std::set<uint64_t> keys;
  for (const auto& [scene, text] : random_gallery(1000, GetParam(), random)) {
    EXPECT_TRUE(keys.insert(scene_key(scene)).second);
    EXPECT_EQ(split_of(scene), GetParam());
    EXPECT_FALSE(text.empty());
  }
}

TEST_P(GalleryTest, DistinctScenesHaveBagsOfWordsOfTheirOwn) {
  SplitMix64 random(4);
  const auto gallery = distinct_gallery(1000, GetParam(), random);
  ASSERT_EQ(gallery.size(), 1000u);
  std::set<uint64_t> keys;
  for (const auto& [scene, text] : gallery) {
    EXPECT_TRUE(keys.insert(attributes_key(scene)).second);
    EXPECT_EQ(split_of(scene), GetParam());
    EXPECT_FALSE(text.empty());
  }
}

TEST_P(GalleryTest, HardGroupsHaveOneBagOfWordsAndFourScenes) {
  SplitMix64 random(2);
  const auto gallery = hard_gallery(1002, GetParam(), random);
  ASSERT_EQ(gallery.size(), 1002u);
  std::set<uint64_t> keys;
  std::map<std::vector<std::string>, std::set<size_t>> groups_of_bag;
  for (size_t i = 0; i < gallery.size(); ++i) {
    const auto& [scene, text] = gallery[i];
    EXPECT_TRUE(keys.insert(scene_key(scene)).second);
    EXPECT_EQ(split_of(scene), GetParam());
    const size_t first = i / 4 * 4;
    EXPECT_EQ(bag_of_words(text), bag_of_words(gallery[first].caption));
    EXPECT_EQ(text == gallery[first].caption, i == first);
    groups_of_bag[bag_of_words(text)].insert(first);
  }
  // A bag of words scores 25: groups do not share theirs, but for chance.
  EXPECT_GT(groups_of_bag.size(), 245u);
}

TEST_P(GalleryTest, ComposedGroupsAreOfTheSplitAndDistinctAllOver) {
  SplitMix64 random(3);
  const auto groups = composed_groups(202, GetParam(), random);
  ASSERT_EQ(groups.size(), 51u);
  std::set<uint64_t> keys;
  std::map<EditKind, int> kinds;
  size_t num_edits = 0;
  const auto check = [&](const Scene& scene) {
    EXPECT_TRUE(keys.insert(scene_key(scene)).second);
    EXPECT_EQ(split_of(scene), GetParam());
    EXPECT_TRUE(is_valid(scene));
  };
  for (const ComposedGroup& group : groups) {
    check(group.reference);
    check(group.near_miss);
    for (const Edit& edit : group.edits) {
      check(edit.target);
      ++kinds[edit.kind];
      ++num_edits;
    }
  }
  EXPECT_EQ(num_edits, 202u);
  EXPECT_EQ(kinds.size(), 7u);
  for (const auto& [kind, count] : kinds) EXPECT_GT(count, 10) << static_cast<int>(kind);
}

TEST_P(GalleryTest, TripletsSayThreeDifferentThings) {
  SplitMix64 random(4);
  size_t num_shorter = 0, num_same_words = 0;
  constexpr int kCount = 2000;
  for (int i = 0; i < kCount; ++i) {
    const CaptionTriplet triplet = random_triplet(GetParam(), random);
    EXPECT_NE(triplet.anchor, triplet.negative);
    EXPECT_NE(triplet.positive, triplet.negative);
    num_shorter += triplet.positive.size() < triplet.anchor.size() * 8 / 10 ? 1 : 0;
    num_same_words += bag_of_words(triplet.anchor) == bag_of_words(triplet.negative) ? 1 : 0;
  }
  EXPECT_GT(num_shorter, 0u);
  EXPECT_GT(num_same_words, 0u);  // also bindings and orders are contradicted
}

INSTANTIATE_TEST_SUITE_P(EverySplit, GalleryTest,
                         testing::Values(SceneSplit::kTrain, SceneSplit::kVal, SceneSplit::kTest),
                         [](const auto& info) {
                           return std::string(scene_split_name(info.param));
                         });

TEST(DistinctGallery, ASplitWithTooFewScenesIsAnErrorAndNotAnEndlessSearch) {
  SplitMix64 random(1);
  EXPECT_THROW(distinct_gallery(100'000, SceneSplit::kTest, random), ConfigError);
}

TEST(ComposedGroups, ASplitWithTooFewScenesIsAnErrorAndNotAnEndlessSearch) {
  SplitMix64 random(1);
  EXPECT_THROW(composed_groups(5000, SceneSplit::kVal, random), ConfigError);
}

}  // namespace
}  // namespace e5v::detail
