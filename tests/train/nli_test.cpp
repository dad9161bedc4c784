#include "e5v/train/nli.h"

#include <gmock/gmock.h>

#include <set>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

class NliTest : public ::testing::Test {
 protected:
  std::vector<Triplet> triplets(const std::string& name, const std::string& content,
                                bool one_per_premise = false,
                                OnBadRow on_bad_row = OnBadRow::kStop) {
    write_file(folder_ / name, content);
    NliTriplets collected;
    read_nli(folder_ / name, on_bad_row, [&](NliPair pair) { collected.add(std::move(pair)); });
    return collected.triplets(one_per_premise);
  }

  TemporaryFolder folder_;
};

Triplet texts(std::string anchor, std::string positive, std::string negative) {
  return {{std::move(anchor), {}}, {std::move(positive), {}}, {{std::move(negative), {}}}};
}

constexpr const char* kTable =
    "gold_label\tsentence1_parse\tsentence1\tsentence2\n"
    "entailment\t( x )\tA man runs.\tA \"man\" moves.\n"
    "neutral\t( x )\tA man runs.\tHe is late.\n"
    "-\t( x )\tA man runs.\tUndecided.\n"
    "contradiction\t( x )\tA man runs.\tA man sleeps.\n"
    "entailment\t( x )\tA man runs.\tSomeone runs.\n"
    "entailment\t( x )\tAlone.\tNo contradiction here.\n";

TEST_F(NliTest, MakesATripletOfEachEntailedHypothesis) {
  const std::vector<Triplet> expected = {texts("A man runs.", "A \"man\" moves.", "A man sleeps."),
                                         texts("A man runs.", "Someone runs.", "A man sleeps.")};
  EXPECT_EQ(triplets("snli.txt", kTable), expected);
  EXPECT_EQ(triplets("snli.tsv", kTable, /*one_per_premise=*/true).size(), 1u);
}

TEST_F(NliTest, ReadsTheJsonForm) {
  const auto made =
      triplets("mnli.jsonl",
               "{\"gold_label\": \"contradiction\", \"sentence1\": \"p\", \"sentence2\": \"no\", "
               "\"genre\": 1}\n"
               "{\"gold_label\": \"entailment\", \"sentence1\": \"p\", \"sentence2\": \"yes\"}\n");
  EXPECT_EQ(made, std::vector<Triplet>{texts("p", "yes", "no")});
}

TEST_F(NliTest, TablesOfOtherProgramsAreRead) {
  const auto made = triplets("x.csv",
                             "\xef\xbb\xbfGold_Label,Sentence1,Sentence2\rcontradiction,p,no\r"
                             "entailment,p,yes\r");
  EXPECT_EQ(made, std::vector<Triplet>{texts("p", "yes", "no")});
}

TEST_F(NliTest, NamesTheLineOfABadLabel) {
  try {
    triplets("x.tsv", "gold_label\tsentence1\tsentence2\nmaybe\ta\tb\n");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.tsv: line 2, column 1: label 'maybe'"));
  }
  EXPECT_TRUE(
      triplets("x.tsv", "gold_label\tsentence1\tsentence2\nmaybe\ta\tb\n", false, OnBadRow::kSkip)
          .empty());
}

TEST_F(NliTest, ParallelFilesMustHaveEquallyManyLines) {
  write_file(folder_ / "s1.dev", "a\nb\n");
  write_file(folder_ / "s2.dev", "c\nd\n");
  write_file(folder_ / "labels.dev", "entailment\n");
  EXPECT_THROW(read_nli(folder_.path(), OnBadRow::kStop, [](NliPair) {}), FormatError);
}

TEST_F(NliTest, RealSnliGivesTheKnownNumberOfTriplets) {
  const std::filesystem::path snli = std::filesystem::path(E5V_SHARED_DATA) / "nli/snli";
  if (!std::filesystem::exists(snli)) GTEST_SKIP() << "no SNLI at " << snli;
  NliTriplets collected;
  uint64_t num_pairs = 0;
  read_nli(snli, OnBadRow::kSkip, [&](NliPair pair) {
    ++num_pairs;
    collected.add(std::move(pair));
  });
  EXPECT_EQ(num_pairs, 9842u + 9824u);
  // Counted independently: premises with both labels (one is in both files), and their entailed
  // hypotheses.
  EXPECT_EQ(collected.triplets(true).size(), 2943u + 2921u - 1);
  EXPECT_EQ(collected.triplets(false).size(), 3172u + 3167u);
}

}  // namespace
}  // namespace e5v::detail
