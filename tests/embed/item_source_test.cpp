#include "e5v/embed/item_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string problem_of(const std::string& line) {
  try {
    parse_item(line, "");
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::vector<ReadItem> read_all(ItemInput input) {
  std::vector<ReadItem> all;
  while (auto read = input.next()) all.push_back(*read);
  return all;
}

TEST(ItemSourceTest, ALineHoldsTextImagesTaskAndPrompt) {
  const Item item = parse_item(
      R"({"id": 7, "text": "snow", "image": "a.png", "images": ["/b.jpg"], "task": "cirr",
          "prompt": "<image>", "caption": "not ours"})",
      "photos");
  EXPECT_EQ(item.id, "7");
  EXPECT_EQ(item.text, "snow");
  ASSERT_EQ(item.images.size(), 2);
  EXPECT_EQ(std::get<std::filesystem::path>(item.images[0]), "photos/a.png");
  EXPECT_EQ(std::get<std::filesystem::path>(item.images[1]), "/b.jpg");
  EXPECT_EQ(item.task, "cirr");
  EXPECT_EQ(item.prompt, "<image>");
  EXPECT_FALSE(parse_item(R"({"text": null})", "").text);
}

TEST(ItemSourceTest, BadLinesSayWhatIsWrong) {
  EXPECT_THAT(problem_of("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem_of("[1]"), HasSubstr("array"));
  EXPECT_THAT(problem_of(R"({"text": 5})"), HasSubstr("'text'"));
  EXPECT_THAT(problem_of(R"({"id": [1]})"), HasSubstr("'id'"));
  EXPECT_THAT(problem_of(R"({"id": "a\nb"})"), HasSubstr("line break"));
  EXPECT_THAT(problem_of(R"({"images": "a.png"})"), HasSubstr("'images'"));
  EXPECT_THAT(problem_of(R"({"image": ""})"), HasSubstr("empty"));
  EXPECT_THAT(problem_of(R"({"text": "a", "video": "b.mp4"})"),
              HasSubstr("'video': only texts and pictures are taken; its frames can be 'images'"));
  EXPECT_THAT(parse_item(R"({"text": "a", "video": null})", "").text,
              testing::Optional(std::string("a")));
  EXPECT_THAT(problem_of("{\"text\": \"\xff\"}"), HasSubstr("not valid JSON"));
}

TEST(ItemSourceTest, AFileIsReadLineByLineAndNamesThePlaceOfErrors) {
  const TemporaryFolder folder;
  write_file(folder / "items.jsonl",
             "{\"text\":\"a\"}\r\n\n{\"text\":3}\n{\"id\":\"x\",\"text\":\"b\"}");
  ItemInput input = open_items(folder / "items.jsonl");
  EXPECT_EQ(input.count, 3);
  const auto items = read_all(input);
  ASSERT_EQ(items.size(), 3);
  EXPECT_EQ(items[0].item.id, "0");
  EXPECT_EQ(items[0].item.text, "a");
  ASSERT_TRUE(items[1].error);
  EXPECT_THAT(items[1].error->what(), HasSubstr("items.jsonl:3"));
  EXPECT_EQ(items[2].item.id, "x");
}

TEST(ItemSourceTest, AFolderGivesItsPicturesSortedByPath) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "b");
  for (const char* name : {"z.JPG", "b/a.png", "notes.txt", "c.webp"})
    write_file(folder / name, "x");
  std::vector<std::string> ids;
  ItemInput input = open_items(folder.path());
  EXPECT_EQ(input.count, 3);
  for (const ReadItem& read : read_all(input)) ids.push_back(read.item.id);
  EXPECT_THAT(ids, ElementsAre("b/a.png", "c.webp", "z.JPG"));
}

TEST(ItemSourceTest, AnAbsentFileIsAFileError) {
  EXPECT_THROW(open_items("no/such.jsonl"), FileError);
}

}  // namespace
}  // namespace e5v::detail
