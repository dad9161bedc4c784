#include "e5v/shapes/conversation.h"

#include <gtest/gtest.h>

namespace e5v {
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

}  // namespace
}  // namespace e5v
