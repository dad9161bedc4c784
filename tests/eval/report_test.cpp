#include "e5v/eval/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/eval/html_report.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ReportTest, HasStableNamesIntervalsAndThePublishedFigures) {
  const Json json = results_json(report_with("flickr30k", {0, 0, 3, 20}));
  EXPECT_EQ(json["metrics"]["image_retrieval_recall@1"]["value"], 50);
  EXPECT_EQ(json["metrics"]["image_retrieval_recall@5"]["value"], 75);
  const Json& recall = json["metrics"]["image_retrieval_recall@5"];
  const Interval interval = bootstrap_mean(std::vector<double>{100, 100, 100, 0});
  EXPECT_EQ(recall["low"], interval.low);
  EXPECT_EQ(recall["high"], interval.high);
  const PublishedFigures& first = find_protocol("flickr30k")->published.at(0);
  EXPECT_EQ(json["published"][first.system], Json(first.metrics));
  EXPECT_EQ(json["partial"], false);
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

}  // namespace
}  // namespace e5v::detail
