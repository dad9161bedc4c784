#include "e5v/base/caption_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

class CaptionTableTest : public testing::Test {
 protected:
  /// "image: caption" of each row of a file with this content.
  std::vector<std::string> rows(const std::string& name, const std::string& content) const {
    write_file(folder_ / name, content);
    std::vector<std::string> rows;
    for (const CaptionRow& row : read_caption_table(folder_ / name)) {
      rows.push_back(row.image + ": " + row.caption);
    }
    return rows;
  }
  std::string error(const std::string& name, const std::string& content) const {
    try {
      rows(name, content);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  }

  using Rows = std::vector<std::string>;
  const Rows expected_ = {"1.jpg: a ball, red", "2.jpg: a house"};
  const TemporaryFolder folder_;
};

TEST_F(CaptionTableTest, AHeaderIsOneInUpperOrLowerCase) {
  for (const char* header :
       {"image,caption", "Image,Caption", "IMAGE_NAME,Comment", "\"Filename\", Text"}) {
    EXPECT_EQ(rows("c.csv", fmt::format("{}\n1.jpg,\"a ball, red\"\n2.jpg,a house\n", header)),
              expected_)
        << header;
  }
  EXPECT_EQ(rows("c.tsv", "File\tDescription\n1.jpg\ta ball, red\n2.jpg\ta house\n"), expected_);
  // Without one, the first line is a row.
  EXPECT_EQ(rows("c.tsv", "1.jpg\ta ball, red\n2.jpg\ta house\n"), expected_);
}

TEST_F(CaptionTableTest, AHeaderSaysWhichColumnsAreMeant) {
  EXPECT_EQ(
      rows("c.csv", "id,Caption,width,Image\n7,\"a ball, red\",10,1.jpg\n8,a house,12,2.jpg\n"),
      expected_);
  EXPECT_EQ(rows("c.csv", "caption,image\n\"a ball, red\",1.jpg\na house,2.jpg\n"), expected_);
  EXPECT_THAT(error("c.csv", "id,caption,image\n7,a ball,1.jpg\n8,a house, big,2.jpg\n"),
              HasSubstr("line 3 has 4 fields, expected 3 as in the first line"));
}

TEST_F(CaptionTableTest, AHeaderSaysWhatSeparatesColumns) {
  // German Excel's CSV, Flickr30K's results.csv, Flickr8K's captions.txt.
  EXPECT_EQ(rows("c.csv", "image;caption\n1.jpg;a ball, red\n2.jpg;a house\n"), expected_);
  EXPECT_EQ(rows("c.csv",
                 "image_name| comment_number| comment\n1.jpg| 0| a ball, red\n2.jpg| 0| a house\n"),
            expected_);
  EXPECT_EQ(rows("captions.txt", "image,caption\n1.jpg,\"a ball, red\"\n2.jpg,a house\n"),
            expected_);
}

TEST_F(CaptionTableTest, QuotesOfCsvMayHoldCommasAndDoubledQuotes) {
  EXPECT_EQ(rows("c.csv", "\"1.jpg\",\"he said \"\"no\"\", twice\"\r\n\"2,5.jpg\",two, too\r\n"),
            (Rows{"1.jpg: he said \"no\", twice", "2,5.jpg: two, too"}));
  EXPECT_EQ(rows("c.csv", "1.jpg,a 5\" disc\n"), (Rows{"1.jpg: a 5\" disc"}));
  EXPECT_EQ(rows("c.tsv", "1.jpg\t\"quoted\"\n"), (Rows{"1.jpg: \"quoted\""}));  // no CSV
  EXPECT_EQ(rows("c.csv", "1.jpg,\"a ball,\nred\"\n2.jpg,a house\n"),
            (Rows{"1.jpg: a ball,\nred", "2.jpg: a house"}));
  EXPECT_THAT(error("c.csv", "1.jpg,a ball\n2.jpg,\"a house\n"),
              HasSubstr("line 2: broken quoting"));
}

TEST_F(CaptionTableTest, AnyProgramsTextFileIsRead) {
  const std::string table = "image\tcaption\n1.jpg\ta ball, red\n2.jpg\ta house\n";
  EXPECT_EQ(rows("bom.tsv", "\xef\xbb\xbf" + table), expected_);
  std::string cr = table, utf16 = "\xff\xfe";
  std::replace(cr.begin(), cr.end(), '\n', '\r');
  EXPECT_EQ(rows("cr.tsv", cr), expected_);
  for (const char c : table) utf16 += std::string{c, '\0'};
  EXPECT_EQ(rows("utf16.tsv", utf16), expected_);
  EXPECT_THAT(error("latin1.tsv", "1.jpg\ta caf\xe9\n"), HasSubstr("line 1 is not UTF-8"));
}

TEST_F(CaptionTableTest, LinesAreCountedAsTheFileHasThem) {
  write_file(folder_ / "c.csv", "image,caption\n1.jpg,one\n\n\n2.jpg,a house\n");
  const std::vector<CaptionRow> table = read_caption_table(folder_ / "c.csv");
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table[0].line, 2u);
  EXPECT_EQ(table[1].line, 5u);
  EXPECT_THAT(error("d.csv", "1.jpg\n"), HasSubstr("line 1 has no ',', expected a picture's name"));
}

}  // namespace
}  // namespace e5v::detail
