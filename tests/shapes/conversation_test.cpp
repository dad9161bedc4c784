#include "e5v/shapes/conversation.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "e5v/shapes/wording.h"

namespace e5v::detail {
namespace {

// A scene of a small split may have no neighbour in it, so that no edit of it is ever found.
TEST(ConversationTest, ASceneWithoutEditsGivesAnotherConversation) {
  SplitMix64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const SceneConversation turns = random_text_conversation(SceneSplit::kVal, random);
    ASSERT_FALSE(turns.empty());
    for (const auto& turn : turns) EXPECT_FALSE(turn.answers.empty());
  }
}

TEST(ConversationTest, WordsOfWhatComesFirstAreSaidMoreOften) {
  const auto counts_of = [](const Scene& scene) {
    std::map<std::string, int> counts;
    const SceneConversation turns = name_picture(scene);
    for (const std::string& word : turns.at(0).answers) ++counts[word];
    return counts;
  };
  const SceneObject first{0, 1, 2}, second{1, 3, 2};
  const auto counts = counts_of({2, Arrangement::kColumn, {first, second}});
  std::map<std::string, int> expected;
  const auto expect = [&expected](std::string_view word, int count) {
    expected[std::string(word)] += count;
  };
  expect(background_word(2), 4);
  expect("column", 4);
  for (const bool synonym : {false, true}) {
    expect(size_word(first.size, synonym), 4);
    expect(size_word(second.size, synonym), 2);
    expect(shape_word(first.shape, synonym), 4 + 2);
  }
  expect(color_word(first.color), 8);
  expect(color_word(second.color), 4);
  EXPECT_EQ(counts, expected);
  EXPECT_NE(counts, counts_of({2, Arrangement::kColumn, {second, first}}));
  EXPECT_FALSE(counts_of({2, Arrangement::kRow, {first}}).contains("row"));
}

}  // namespace
}  // namespace e5v::detail
