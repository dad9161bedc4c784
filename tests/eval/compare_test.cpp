#include "e5v/eval/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/eval/report.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

TEST(CompareTest, ShowsDifferencesWithIntervalsOfTheSameQueries) {
  const TemporaryFolder folder;
  write_report(folder / "a", report_with("coco", {0, 9, 9, 9}));
  write_report(folder / "b", report_with("coco", {0, 0, 0, 9}));
  const Comparison comparison = compare_reports({folder / "a", folder / "b"});
  ASSERT_EQ(comparison.rows.size(), 2u);
  const auto& row = comparison.rows[0];
  EXPECT_EQ(row.metric, "image_retrieval_recall@1");
  EXPECT_NEAR(row.differences[0]->value, 50, 1e-9);
  ASSERT_TRUE(row.differences[0]->interval);
  // Two of four queries are better by 100.
  const Interval interval = bootstrap_mean(std::vector<double>{0, 100, 100, 0});
  EXPECT_EQ(row.differences[0]->interval->low, interval.low);
  EXPECT_EQ(row.differences[0]->interval->high, interval.high);
  EXPECT_TRUE(comparison.warnings.empty());
  EXPECT_THAT(comparison.to_markdown(), HasSubstr("+50.00 ("));
  EXPECT_EQ(comparison.to_json()["metrics"]["image_retrieval_recall@1"]["values"][1], 75);
}

TEST(CompareTest, TheIntervalIsOfTheQueriesDifferences) {
  // Every query is better by 10: so is the mean of any resample, however far apart queries are.
  const TemporaryFolder folder;
  TaskReport a = report_with("sts", {}), b = a;
  a.add_mean("score", {10, 50, 90, 20});
  b.add_mean("score", {20, 60, 100, 30});
  write_report(folder / "a", a);
  write_report(folder / "b", b);
  const Comparison comparison = compare_reports({folder / "a", folder / "b"});
  const auto row = std::find_if(comparison.rows.begin(), comparison.rows.end(),
                                [](const auto& row) { return row.metric == "score"; });
  ASSERT_NE(row, comparison.rows.end());
  ASSERT_TRUE(row->differences[0] && row->differences[0]->interval);
  EXPECT_NEAR(row->differences[0]->value, 10, 1e-9);
  EXPECT_NEAR(row->differences[0]->interval->low, 10, 1e-9);
  EXPECT_NEAR(row->differences[0]->interval->high, 10, 1e-9);
}

TEST(CompareTest, WarnsOfOtherDataAndRefusesOtherTasks) {
  const TemporaryFolder folder;
  write_report(folder / "a", report_with("coco", {0, 9}));
  write_report(folder / "b", report_with("coco", {0, 0, 9}));
  write_report(folder / "c", report_with("flickr30k", {0, 0}));
  const Comparison comparison = compare_reports({folder / "a", folder / "b"});
  EXPECT_EQ(comparison.warnings.size(), 1u);
  EXPECT_FALSE(comparison.rows[0].differences[0]->interval);
  EXPECT_THROW(compare_reports({folder / "a", folder / "c"}), InputError);
  EXPECT_THROW(compare_reports({folder / "a"}), InputError);
  EXPECT_THROW(compare_reports({folder / "a", folder / "d"}), FileError);
  write_file(folder / "b/results.json", "{\"task\": \"coco\", \"data\": 1, \"metrics\": 3}");
  EXPECT_THROW(compare_reports({folder / "a", folder / "b"}), FormatError);
}

}  // namespace
}  // namespace e5v::detail
