#include "e5v/index/captions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

class CaptionsTest : public testing::Test {
 protected:
  Captions read(const std::string& name, const std::string& content) {
    write_file(folder_ / name, content);
    return read_captions(folder_ / name);
  }
  std::string error_of(const std::string& name, const std::string& content) {
    try {
      read(name, content);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  }

  const TemporaryFolder folder_;
};

TEST_F(CaptionsTest, JsonLinesHaveCaptionsAndMetadata) {
  const Captions captions =
      read("c.jsonl",
           "{\"image\": \"trips/a.jpg\", \"caption\": \"a dog\", \"year\": 2020}\n\n"
           "{\"file_name\": \"b.jpg\", \"author\": \"me\"}\n");
  const auto base = std::filesystem::canonical(folder_.path());
  const Caption* a = find_caption(captions, base / "trips/a.jpg");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->text, "a dog");
  EXPECT_EQ(a->metadata, Json({{"year", 2020}}));
  EXPECT_EQ(find_caption(captions, "/elsewhere/a.jpg"), nullptr);
  // A name alone holds in every folder.
  ASSERT_NE(find_caption(captions, "/elsewhere/b.jpg"), nullptr);
  EXPECT_EQ(find_caption(captions, "/elsewhere/b.jpg")->metadata, Json({{"author", "me"}}));
}

TEST_F(CaptionsTest, OtherFilesHaveColumns) {
  const Captions captions = read("c.tsv", "a.jpg\tfirst\r\na.jpg\tsecond, with\ttab\n");
  ASSERT_NE(find_caption(captions, "/x/a.jpg"), nullptr);
  EXPECT_EQ(find_caption(captions, "/x/a.jpg")->text, "second, with\ttab");
}

TEST_F(CaptionsTest, TablesAreReadInAllTheirForms) {
  for (const auto& [name, content] :
       {std::pair("c.csv", "\"a, b.jpg\",\"a \"\"red\"\" dog,\nrunning\"\n"),
        std::pair("h.csv", "Caption,Path\r\"a \"\"red\"\" dog,\rrunning\",\"a, b.jpg\"\r"),
        std::pair("m.csv",
                  "\xef\xbb\xbfImage,Caption\n\"a, b.jpg\",\"a \"\"red\"\" dog,\nrunning\"\n")}) {
    const Captions captions = read(name, content);
    ASSERT_NE(find_caption(captions, "/x/a, b.jpg"), nullptr) << name;
    EXPECT_EQ(find_caption(captions, "/x/a, b.jpg")->text, "a \"red\" dog,\nrunning") << name;
    EXPECT_EQ(captions.size(), 1u) << name;
  }
  EXPECT_EQ(read("m.jsonl", "\xef\xbb\xbf{\"image\": \"a.jpg\"}\r\n").size(), 1u);
}

TEST_F(CaptionsTest, SaysWhichLineIsWrong) {
  EXPECT_THAT(error_of("c.jsonl", "{\"image\":\"a\"}\n{\"caption\":\"b\"}\n"),
              HasSubstr("line 2: names no picture"));
  EXPECT_THAT(error_of("c.jsonl", "[1]\n"), HasSubstr("line 1: expected an object"));
  EXPECT_THAT(error_of("c.jsonl", "{\"image\": 5}\n"), HasSubstr("'image' is 5"));
  EXPECT_THAT(error_of("c.tsv", "no tab\n"), HasSubstr("line 1 has no tab, expected a picture"));
  EXPECT_THAT(error_of("c.tsv", "a.png\tred\nno tab\n"), HasSubstr("line 2 has no tab"));
}

}  // namespace
}  // namespace e5v::detail
