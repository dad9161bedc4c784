#include "e5v/eval/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/eval/published_figures.h"
#include "e5v/eval/tasks.h"
#include "tests/eval/eval_support.h"

namespace e5v {
namespace {

using testing::HasSubstr;
using testing::Not;

TaskReport report_with(const std::string& task, const std::vector<int64_t>& ranks) {
  TaskReport report;
  report.task = task;
  report.system = {{"system", "fake"}};
  report.data = {{"captions", ranks.size()}};
  report.add_recalls("image_retrieval_recall", ranks, {1, 5});
  report.histograms = {{"Places", ranks}};
  return report;
}

TEST(ReportTest, HasStableNamesIntervalsAndThePapersFigures) {
  const Json json = results_json(report_with("flickr30k", {0, 0, 3, 20}));
  EXPECT_EQ(json["metrics"]["image_retrieval_recall@1"]["value"], 50);
  EXPECT_EQ(json["metrics"]["image_retrieval_recall@5"]["value"], 75);
  EXPECT_TRUE(json["metrics"]["image_retrieval_recall@5"].contains("low"));
  EXPECT_EQ(json["published"]["E5-V"]["image_retrieval_recall@1"], 79.5);
  EXPECT_EQ(json["partial"], false);
}

TEST(ReportTest, EveryPublishedTableHasE5vFirst) {
  for (const char* task :
       {"flickr30k", "coco", "cirr", "fashioniq", "i2i-flickr30k", "i2i-coco", "sts"}) {
    const auto figures = published_figures(task);
    ASSERT_GE(figures.size(), 2u) << task;
    EXPECT_EQ(figures[0].system, "E5-V");
    // The paper's headline: above the others on the first figure it compares.
    if (std::string(task) != "cirr") continue;
    EXPECT_NEAR(figures[0].metrics.at("cirr_recall@1") - figures[1].metrics.at("cirr_recall@1"),
                8.5, 1e-9);
  }
  EXPECT_TRUE(published_figures("gap").empty());
}

TEST(ReportTest, FieldsAreWrittenForPeople) {
  const Json fields = {
      {"model", "m"}, {"empty", ""}, {"queries", 3}, {"categories", {{"dress", {{"queries", 2}}}}}};
  EXPECT_EQ(fields_line(fields, ", "), "categories dress queries: 2, model: m, queries: 3");
  EXPECT_EQ(fields_line(Json::object(), ", "), "");
}

TEST(ReportTest, APartialReportSaysSoEverywhere) {
  TaskReport report = report_with("coco", {0, 1});
  report.skipped = {"a.jpg"};
  EXPECT_EQ(results_json(report)["partial"], true);
  EXPECT_THAT(results_markdown(report), HasSubstr("**Partial**: 1 items"));
  EXPECT_THAT(results_markdown(report), HasSubstr("- a.jpg"));
  EXPECT_THAT(results_html(report), HasSubstr("<b>Partial.</b>"));
}

TEST(ReportTest, ThePageNeedsNoOtherFileAndEscapesWhatItShows) {
  const TemporaryFolder folder;
  draw_picture(folder / "p.png");
  TaskReport report = report_with("coco", {0, 7, -1});
  RetrievalExample example;
  example.text = "<script>alert(1)</script> & more";
  example.rank = 7;
  example.found = {{.image = {.id = "p", .path = folder / "p.png", .drawn_text = {}},
                    .text = {},
                    .score = 0.5,
                    .is_right = false}};
  example.expected = {{.image = {.id = "gone", .path = "/nowhere.png", .drawn_text = {}},
                       .text = {},
                       .score = 0,
                       .is_right = true}};
  report.examples = {{"Worst", {example}}};
  report.plots = {{"plot", {.images = {{0, 1}}, .texts = {{1, 0}}, .explained = {0.5, 0.25}}}};
  const std::string html = results_html(report);
  EXPECT_THAT(html, HasSubstr("data:image/png;base64,iVBORw0KGgo"));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("gone"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
}

TEST(ReportTest, AFolderThatCannotBeWrittenToIsFoundAtOnce) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  EXPECT_THROW(prepare_report_folder(folder / "file"), FileError);
  EXPECT_THROW(prepare_report_folder(folder / "file/below"), FileError);
  EXPECT_NO_THROW(prepare_report_folder(folder / "a/b"));
}

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
  EXPECT_LE(row.differences[0]->interval->low, 50);
  EXPECT_GE(row.differences[0]->interval->high, 50);
  EXPECT_TRUE(comparison.warnings.empty());
  EXPECT_THAT(comparison.to_markdown(), HasSubstr("+50.00 ("));
  EXPECT_EQ(comparison.to_json()["metrics"]["image_retrieval_recall@1"]["values"][1], 75);
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

TEST(PoolTest, IsTheMeanOverTheQueriesOfAll) {
  const TemporaryFolder folder;
  write_report(folder / "a", report_with("coco", {0, 9, 9, 9}));
  write_report(folder / "b", report_with("coco", {0, 0}));
  const TaskReport pooled = pool_reports({folder / "a", folder / "b"});
  const Metric* const recall = pooled.find("image_retrieval_recall@1");
  ASSERT_NE(recall, nullptr);
  EXPECT_NEAR(recall->value, 50, 1e-9);  // three of six, not the mean of 25 and 100
  ASSERT_TRUE(recall->interval);
  EXPECT_LT(recall->interval->low, 50);
  EXPECT_GT(recall->interval->high, 50);
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

TEST(PromptsTest, AreReadFromAList) {
  const TemporaryFolder folder;
  write_file(folder / "p.json", R"([{"name": "a", "text": "<sent>!", "image": "<image>!"}])");
  EXPECT_EQ(load_prompts(folder / "p.json")[0].text, "<sent>!");
  write_file(folder / "p.json", R"([{"name": "a"}, {"name": "a"}])");
  EXPECT_THROW(load_prompts(folder / "p.json"), FormatError);
  write_file(folder / "p.json", R"({})");
  EXPECT_THROW(load_prompts(folder / "p.json"), FormatError);
}

}  // namespace
}  // namespace e5v
