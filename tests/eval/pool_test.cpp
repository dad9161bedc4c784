#include "e5v/eval/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/eval/compare.h"
#include "e5v/eval/report.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

TEST(PoolTest, IsTheMeanOverTheQueriesOfAll) {
  const TemporaryFolder folder;
  write_report(folder / "a", report_with("coco", {0, 9, 9, 9}));
  write_report(folder / "b", report_with("coco", {0, 0}));
  const TaskReport pooled = pool_reports({folder / "a", folder / "b"});
  const Metric* const recall = pooled.find("image_retrieval_recall@1");
  ASSERT_NE(recall, nullptr);
  EXPECT_NEAR(recall->value, 50, 1e-9);  // three of six, not the mean of 25 and 100
  ASSERT_TRUE(recall->interval);
  const Interval interval = bootstrap_mean(std::vector<double>{100, 0, 0, 0, 100, 100});
  EXPECT_EQ(recall->interval->low, interval.low);
  EXPECT_EQ(recall->interval->high, interval.high);
  EXPECT_EQ(pooled.per_query.at("image_retrieval_recall@1").size(), 6u);
  // It is a report that can be pooled and compared again.
  write_report(folder / "pooled", pooled);
  EXPECT_NO_THROW(compare_reports({folder / "pooled", folder / "pooled"}));
}

TEST(PoolTest, RefusesWhatIsNotOfOneKind) {
  const TemporaryFolder folder;
  write_report(folder / "a", report_with("coco", {0, 9}));
  TaskReport other = report_with("coco", {0, 9});
  other.system["model"] = "another";
  write_report(folder / "system", other);
  write_report(folder / "task", report_with("flickr30k", {0, 9}));
  write_report(folder / "bare", report_with("coco", {0, 9}));
  std::filesystem::remove(folder / "bare/per_query.json");
  EXPECT_THROW(pool_reports({folder / "a"}), InputError);
  EXPECT_THROW(pool_reports({folder / "a", folder / "system"}), InputError);
  EXPECT_THROW(pool_reports({folder / "a", folder / "task"}), InputError);
  EXPECT_THROW(pool_reports({folder / "a", folder / "bare"}), InputError);
  EXPECT_THROW(pool_reports({folder / "bare", folder / "bare"}), InputError);
}

}  // namespace
}  // namespace e5v::detail
