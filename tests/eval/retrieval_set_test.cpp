#include "e5v/eval/retrieval_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LoadRetrievalTest, ReadsTheSplitOfAKarpathyFileAndTheFirstCaptions) {
  const TemporaryFolder folder;
  write_file(folder / "dataset_coco.json", R"({"dataset": "coco", "images": [
    {"filename": "b.jpg", "filepath": "val2014", "split": "test",
     "sentences": [{"raw": "b one"}, {"raw": "b two"}, {"raw": "b three"}]},
    {"filename": "t.jpg", "filepath": "val2014", "split": "train", "sentences": [{"raw": "t"}]},
    {"filename": "a.jpg", "filepath": "val2014", "split": "test", "sentences": [{"raw": "a"}]}]})");
  draw_picture(folder / "val2014/a.jpg");
  const RetrievalSet set = load_retrieval({.path = folder.path(), .captions_per_image = 2});
  EXPECT_THAT(set.captions, ElementsAre("b one", "b two", "a"));
  EXPECT_THAT(set.image_of_caption, ElementsAre(0, 0, 1));
  EXPECT_EQ(set.images[1].path.lexically_normal(), folder / "val2014/a.jpg");
  EXPECT_THAT(error_of([&] { load_retrieval({.path = folder.path(), .split = "restval"}); }),
              HasSubstr("no captions of split 'restval', only of test, train"));
}

TEST(LoadRetrievalTest, ReadsCocoTablesAndLinesOfJson) {
  const TemporaryFolder folder;
  write_file(folder / "coco.json", R"({"images": [{"id": 7, "file_name": "7.jpg"},
    {"id": 3, "file_name": "3.jpg"}], "annotations": [{"image_id": 3, "id": 1, "caption": "three"},
    {"image_id": 7, "id": 2, "caption": "seven"}]})");
  EXPECT_THAT(load_retrieval({.path = folder / "coco.json"}).captions,
              ElementsAre("seven", "three"));
  write_file(folder / "flickr.token", "1.jpg#0\tone a\r\n1.jpg#1\tone b\n2.jpg#0\ttwo\n");
  const RetrievalSet token = load_retrieval({.path = folder / "flickr.token"});
  EXPECT_THAT(token.captions, ElementsAre("one a", "one b", "two"));
  EXPECT_THAT(token.images[0].id, "1.jpg");
  write_file(folder / "c.csv",
             "image,caption\n1.jpg,\"he said \"\"no\"\", twice\"\n2.jpg,two, too\n");
  EXPECT_THAT(load_retrieval({.path = folder / "c.csv"}).captions,
              ElementsAre("he said \"no\", twice", "two, too"));
  write_file(folder / "c.jsonl", R"({"image": "1.jpg", "captions": ["x", "y"]}
{"image": "2.jpg", "caption": "z"})");
  EXPECT_THAT(load_retrieval({.path = folder / "c.jsonl"}).captions, ElementsAre("x", "y", "z"));
}

TEST(LoadRetrievalTest, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { load_retrieval({.path = folder.path()}); }),
              HasSubstr("looked for dataset_flickr30k.json"));
  const auto error_for = [&](const char* name, const char* content) {
    write_file(folder / name, content);
    return error_of([&] { load_retrieval({.path = folder / name}); });
  };
  EXPECT_THAT(error_for("a.tsv", "1.jpg\tone\n2.jpg two\n"), HasSubstr("line 2 has no tab"));
  EXPECT_THAT(error_for("b.tsv", "1.jpg\tone\n2.jpg\t  \n"),
              HasSubstr("line 2: the caption is empty"));
  EXPECT_THAT(error_for("c.json", R"({"images": [{"id": 1, "file_name": "1"}], "annotations":
      [{"image_id": 2, "caption": "x"}]})"),
              HasSubstr("picture 2, which is not in 'images'"));
  EXPECT_THAT(
      error_for("d.json", R"({"images": [{"filename": "1", "split": "test", "sentences": []},
      {"filename": "1", "split": "test", "sentences": []}]})"),
      HasSubstr("'1' twice"));
  EXPECT_THAT(error_for("e.json", R"({"images": [{"id": 1, "file_name": "1"}, {"id": 1,
      "file_name": "2"}], "annotations": []})"),
              HasSubstr("'1' twice"));
  EXPECT_THAT(error_for("f.json", "[1]"), HasSubstr("images"));
  EXPECT_THAT(error_for("g.jsonl", "{\"caption\": \"x\"}"), HasSubstr("'image' is missing"));
  EXPECT_THAT(error_for("h.tsv", ""), HasSubstr("no captions"));
}

}  // namespace
}  // namespace e5v::detail
