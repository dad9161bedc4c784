#include "e5v/train/conversations.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConversationFileTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& content) {
    write_file(folder_ / "data.jsonl", content);
    return folder_ / "data.jsonl";
  }
  std::string error_of(const std::string& content) {
    try {
      ConversationFile file(write(content));
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no FormatError";
  }
  static std::string row(const std::string& human, const std::string& gpt) {
    return R"({"conversations":[{"from":"human","value":")" + human +
           R"("},{"from":"gpt","value":")" + gpt + "\"}]}\n";
  }

  TemporaryFolder folder_;
};

TEST_F(ConversationFileTest, ReadsTurnsInOrder) {
  const ConversationFile file(
      write(row("one?", "yes") + "\n" +
            R"({"conversations":[{"from":"human","value":" a\n"},{"from":"gpt","value":"b"},)" +
            R"({"from":"human","value":"c"},{"from":"gpt","value":"d"}]})"));
  ASSERT_EQ(file.size(), 2u);
  EXPECT_FALSE(file.has_images());
  EXPECT_EQ(file.line_of(1), 3u);  // an empty line between them
  const Conversation second = file.row(1);
  ASSERT_EQ(second.turns.size(), 2u);
  EXPECT_EQ(second.turns[0].prompt, "a");
  EXPECT_EQ(second.turns[1].prompt, "c");
  EXPECT_THAT(second.turns[1].answers, ElementsAre("d"));
}

TEST_F(ConversationFileTest, TheLastAnswerMayBeSeveralWords) {
  const std::string ask =
      R"({"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":)";
  const ConversationFile file(write(ask + R"(["b","c","b"]}]})"));
  EXPECT_THAT(file.row(0).turns[0].answers, ElementsAre("b", "c", "b"));
  EXPECT_THAT(error_of(ask + "[]}]}"), HasSubstr("'conversations[1]' has an empty value"));
  EXPECT_THAT(error_of(ask + R"(["b"," "]}]})"),
              HasSubstr("'conversations[1]' has an empty value"));
  EXPECT_THAT(error_of(ask + R"(["b",1]}]})"), HasSubstr("line 1: 'value[1]' is 1"));
  EXPECT_THAT(
      error_of(ask + R"(["b","c"]},{"from":"human","value":"d"},{"from":"gpt","value":"e"}]})"),
      HasSubstr("'conversations[1]' is a list, which only the last answer can be"));
  EXPECT_THAT(error_of(R"({"conversations":[{"from":"human","value":["a","b"]},)"
                       R"({"from":"gpt","value":"c"}]})"),
              HasSubstr("'conversations[0]' is a list, expected one text from 'human'"));
}

TEST_F(ConversationFileTest, APictureLiesBesideTheFileAndItsPlaceIsTakenOut) {
  for (const char* prompt : {"<image>\\nwhat?", "what?\\n<image>"}) {
    const ConversationFile file(
        write(std::string(R"({"image":"images/a.png","conversations":[{"from":"human","value":")") +
              prompt + R"("},{"from":"gpt","value":"b"}]})"));
    EXPECT_TRUE(file.has_images());
    EXPECT_EQ(file.row(0).image, folder_ / "images/a.png");
    EXPECT_EQ(file.row(0).turns[0].prompt, "what?");
  }
}

TEST_F(ConversationFileTest, BadRowsAreNamedByTheirLine) {
  const std::string good = row("a", "b");
  EXPECT_THAT(error_of(good + "{"), HasSubstr("line 2: "));
  EXPECT_THAT(error_of("[1]\n"), HasSubstr("line 1: 'image' was looked for in a"));
  EXPECT_THAT(error_of(good + R"({"conversations":[]})"),
              HasSubstr("line 2: 'conversations' is not"));
  EXPECT_THAT(error_of(R"({"conversations":[{"from":"gpt","value":"a"}]})"),
              HasSubstr("'conversations[0]' is from 'gpt', expected 'human'"));
  EXPECT_THAT(error_of(R"({"conversations":[{"from":"human","value":"a"}]})"),
              HasSubstr("'conversations[1]' is missing"));
  EXPECT_THAT(error_of(row("a", " ")), HasSubstr("'conversations[1]' has an empty value"));
  EXPECT_THAT(error_of(row("<image>a", "b")), HasSubstr("'<image>' stands in a row without"));
  EXPECT_THAT(error_of(""), HasSubstr("holds no conversation"));
}

TEST_F(ConversationFileTest, BadRowsCanBeLeftOut) {
  std::vector<std::string> messages;
  const ConversationFile file(write(row("a", "b") + "{\n" + row("c", "d")), OnBadRow::kSkip,
                              [&](const std::string& message) { messages.push_back(message); });
  EXPECT_EQ(file.size(), 2u);
  EXPECT_EQ(file.row(1).turns[0].prompt, "c");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_THAT(messages[0], HasSubstr("line 2: "));
}

}  // namespace
}  // namespace e5v::detail
