#include "e5v/base/delimited.h"

#include <gmock/gmock.h>

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// All records of `text`, malformed ones included.
std::vector<DelimitedRecord> records(std::string_view text, const DelimitedFormat& format = {}) {
  std::vector<DelimitedRecord> all;
  for (size_t at = 0; at < text.size(); at = all.back().end) {
    all.push_back(read_delimited(text, at, format));
  }
  return all;
}

TEST(DelimitedTest, ReadsQuotesDelimitersAndLineEndsInsideFields) {
  const auto all = records("a,\"b,\"\"c\"\"\nd\",\r\n\"\",e\n");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[0].fields, ElementsAre("a", "b,\"c\"\nd", ""));
  EXPECT_EQ(all[0].lines, 2u);
  EXPECT_THAT(all[1].fields, ElementsAre("", "e"));
}

TEST(DelimitedTest, TheLastLineNeedsNoEnd) {
  const auto all = records("a,b\nc,");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[1].fields, ElementsAre("c", ""));
}

TEST(DelimitedTest, ALoneCarriageReturnIsText) {
  EXPECT_THAT(records("a\rb,c\n")[0].fields, ElementsAre("a\rb", "c"));
}

TEST(DelimitedTest, TabsWithoutQuotingLeaveQuotesAlone) {
  const auto all = records("\"a\tb\"c\n", {.delimiter = '\t', .quotes = false});
  EXPECT_THAT(all[0].fields, ElementsAre("\"a", "b\"c"));
}

TEST(DelimitedTest, NamesThePlaceOfAMisplacedQuoteAndGoesOnWithTheNextLine) {
  const auto all = records("a,b \"c\"\nd,e\n");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[0].problem, HasSubstr("a quote inside a field"));
  EXPECT_EQ(all[0].problem_column, 5u);
  EXPECT_THAT(all[1].fields, ElementsAre("d", "e"));
  EXPECT_THAT(records("\"a\"b,c\n")[0].problem, HasSubstr("after the closing quote"));
}

TEST(DelimitedTest, QuotesWithinAFieldMayBeText) {
  EXPECT_THAT(records("a,b \"c\",\"d,\"\n", {.quotes_within = true})[0].fields,
              ElementsAre("a", "b \"c\"", "d,"));
}

TEST(DelimitedTest, NamesOfColumnsAreComparedWithoutCaseAndBlanks) {
  EXPECT_EQ(column_name(" Hard_Neg\t"), "hard_neg");
  EXPECT_EQ(column_name("Ä"), "Ä");
  EXPECT_EQ(column_name(" "), "");
}

TEST(DelimitedTest, AnOpenQuoteIsReportedWhereItOpens) {
  const auto all = records("a,\"b\nc,d\ne,f\n");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_THAT(all[0].problem, HasSubstr("ends inside a quoted field"));
  EXPECT_EQ(all[0].problem_line, 0u);
  EXPECT_EQ(all[0].problem_column, 3u);
  EXPECT_THAT(all[2].fields, ElementsAre("e", "f"));
}

TEST(DelimitedTest, AFieldHasALongestLength) {
  const std::string text = "\"" + std::string(kMaxFieldBytes + 10, 'x') + "\"\na\n";
  const auto all = records(text);
  EXPECT_THAT(all[0].problem, HasSubstr("longer than 1 MiB"));
  EXPECT_THAT(all[1].fields, ElementsAre("a"));
}

TEST(DelimitedTest, WritesWhatItReads) {
  const std::vector<std::string> fields = {"plain", "a,b", "say \"x\"", "two\nlines", "", " é "};
  const std::string line = csv_line(fields);
  EXPECT_EQ(read_delimited(line, 0, {}).fields, fields);
  EXPECT_EQ(csv_line({"a", "b,c"}), "a,\"b,c\"\n");
}

}  // namespace
}  // namespace e5v::detail
