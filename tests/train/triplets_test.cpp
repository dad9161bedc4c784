#include "e5v/train/triplets.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TripletsTest : public ::testing::Test {
 protected:
  TripletFile open(const std::string& name, const std::string& content,
                   OnBadRow on_bad_row = OnBadRow::kStop) {
    write_file(folder_ / name, content);
    return TripletFile(folder_ / name, on_bad_row,
                       [&](const std::string& message) { skipped_.push_back(message); });
  }
  std::string error_of(const std::string& name, const std::string& content) {
    try {
      open(name, content);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
  std::vector<std::string> skipped_;
};

Triplet texts(std::string anchor, std::string positive, std::vector<std::string> negatives = {}) {
  Triplet triplet{{std::move(anchor), {}}, {std::move(positive), {}}, {}};
  for (std::string& negative : negatives) triplet.negatives.push_back({std::move(negative), {}});
  return triplet;
}

TEST_F(TripletsTest, ReadsThePublishedFormOfTheData) {
  const auto file = open("nli.csv",
                         "sent0,sent1,hard_neg\n"
                         "a man,\"a person, standing\",nobody\n"
                         "\"two\nlines\",b,\"say \"\"c\"\"\"\n");
  ASSERT_EQ(file.size(), 2u);
  EXPECT_EQ(file.row(0), texts("a man", "a person, standing", {"nobody"}));
  EXPECT_EQ(file.row(1), texts("two\nlines", "b", {"say \"c\""}));
  EXPECT_EQ(file.line_of(1), 3u);
}

TEST_F(TripletsTest, ColumnsGoByNameAndOthersAreNotLookedAt) {
  const auto file =
      open("x.csv", "id,hard_neg_2,positive,anchor,hard_neg_1\n7,n2,p,a,n1\n8,,p,a,\n");
  EXPECT_EQ(file.row(0), texts("a", "p", {"n2", "n1"}));
  EXPECT_EQ(file.row(1), texts("a", "p"));
}

TEST_F(TripletsTest, WithoutNamesColumnsGoByPosition) {
  const auto file = open("x.tsv", "a\t\"p\nb\tp\tn\tm\n");
  EXPECT_EQ(file.row(0), texts("a", "\"p"));
  EXPECT_EQ(file.row(1), texts("b", "p", {"n", "m"}));
}

TEST_F(TripletsTest, ReadsJsonLinesWithAnyNumberOfNegatives) {
  const auto file = open("x.jsonl",
                         "{\"sent0\": \"a\", \"sent1\": \"p\", \"hard_neg\": \"n\"}\n\n"
                         "{\"anchor\": \"b\", \"positive\": \"q\", \"negatives\": [\"x\", \"y\"]}\n"
                         "{\"anchor\": {\"image\": \"i.png\"}, \"positive\": {\"text\": \"t\"}}");
  ASSERT_EQ(file.size(), 3u);
  EXPECT_EQ(file.row(0), texts("a", "p", {"n"}));
  EXPECT_EQ(file.row(1), texts("b", "q", {"x", "y"}));
  EXPECT_EQ(file.row(2).anchor.image, folder_ / "i.png");
  EXPECT_EQ(file.line_of(1), 3u);
}

TEST_F(TripletsTest, AByteOrderMarkIsNotPartOfTheFirstName) {
  EXPECT_EQ(open("x.csv", "\xef\xbb\xbfsent0,sent1\r\na,b\r\n").row(0), texts("a", "b"));
}

TEST_F(TripletsTest, NamesOfColumnsMayBeInCapitals) {
  for (const char* header : {"Sent0,Sent1,Hard_Neg", "ANCHOR, Positive ,NEGATIVE"}) {
    const auto file = open("x.csv", std::string(header) + "\na,p,n\n");
    ASSERT_EQ(file.size(), 1u) << header;
    EXPECT_EQ(file.row(0), texts("a", "p", {"n"}));
  }
}

TEST_F(TripletsTest, LinesMayAllEndInCr) {
  const auto file = open("x.csv", "sent0,sent1,hard_neg\ra,p,n\rb,q,m\r");
  ASSERT_EQ(file.size(), 2u);
  EXPECT_EQ(file.row(1), texts("b", "q", {"m"}));
  EXPECT_EQ(file.line_of(1), 3u);
}

TEST_F(TripletsTest, Utf16IsReadWhereAMarkSaysSo) {
  std::string bytes = "\xff\xfe";
  for (const char c : std::string("sent0\tsent1\r\na\tp\r\n")) bytes += std::string{c, '\0'};
  const auto file = open("x.tsv", bytes);
  ASSERT_EQ(file.size(), 1u);
  EXPECT_EQ(file.row(0), texts("a", "p"));
}

TEST_F(TripletsTest, NamesLineAndColumnOfABadRow) {
  const std::string head = "sent0,sent1,hard_neg\na,b,c\n";
  EXPECT_THAT(error_of("x.csv", head + "a,b \"c\",d\n"),
              HasSubstr("x.csv: line 3, column 5: a quote"));
  EXPECT_THAT(error_of("x.csv", head + "a,b\n"),
              HasSubstr("line 3, column 4: 2 fields, expected 3"));
  EXPECT_THAT(error_of("x.csv", head + "a,\xff,c\n"), HasSubstr("line 3, column 3: invalid UTF-8"));
  EXPECT_THAT(error_of("x.csv", head + "\"x\ny\xff\",b,c\n"),
              HasSubstr("line 4, column 2: invalid"));
  EXPECT_THAT(error_of("x.csv", head + " ,b,c\n"),
              HasSubstr("line 3, column 1: the anchor is empty"));
  EXPECT_THAT(error_of("x.jsonl", "{\"sent0\": \"a\", \"sent1\": 5}\n"), HasSubstr("line 1"));
  EXPECT_THAT(error_of("x.jsonl", "[1]\n"), HasSubstr("expected an object"));
}

TEST_F(TripletsTest, LeavesBadRowsOutOnRequestAndSaysWhich) {
  const auto file = open("x.csv", "sent0,sent1\na,b\nc\n,d\n\"e,f\ng,h\n", OnBadRow::kSkip);
  ASSERT_EQ(file.size(), 2u);
  EXPECT_EQ(file.row(1), texts("g", "h"));
  EXPECT_EQ(file.num_skipped(), 3u);
  EXPECT_THAT(skipped_, ElementsAre(HasSubstr("line 3"), HasSubstr("line 4"), HasSubstr("line 5")));
}

TEST_F(TripletsTest, ManyLostQuotesDoNotMakeItSearchForEver) {
  std::string content = "sent0,sent1\n";
  for (int i = 0; i < 100'000; ++i) content += "\"aaaaaaaaaaaaaaaaaaaa,b\"\"\n";
  write_file(folder_ / "x.csv", content);
  EXPECT_THROW(TripletFile(folder_ / "x.csv", OnBadRow::kSkip), FormatError);
}

TEST_F(TripletsTest, AFileWithoutRowsOrOfAnUnknownKindIsRefused) {
  EXPECT_THAT(error_of("x.csv", ""), HasSubstr("no usable rows"));
  EXPECT_THAT(error_of("x.csv", "sent0,sent1\n"), HasSubstr("no usable rows"));
  EXPECT_THAT(error_of("x.csv", "sent0,other\na,b\n"), HasSubstr("'sent1'"));
  EXPECT_THAT(error_of("x.parquet", "PAR1"), HasSubstr(".csv, .tsv or .jsonl"));
  EXPECT_THROW(TripletFile(folder_ / "absent.csv"), FileError);
}

TEST(EpochOrderTest, IsAPermutationThatDependsOnSeedAndEpoch) {
  const auto order = epoch_order(1000, 7, 0, true);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, epoch_order(1000, 7, 0, false));
  EXPECT_EQ(order, epoch_order(1000, 7, 0, true));
  EXPECT_NE(order, epoch_order(1000, 7, 1, true));
  EXPECT_NE(order, epoch_order(1000, 8, 0, true));
  EXPECT_NE(order, sorted);
}

}  // namespace
}  // namespace e5v::detail
