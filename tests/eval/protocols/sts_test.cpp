// The protocol STS (e5v/eval/protocols/sts.cpp), run as `e5v eval run sts` runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

void write_stsb(const TemporaryFolder& folder, const std::string& lines) {
  std::filesystem::create_directories(folder / "STSBenchmark");
  write_file(folder / "STSBenchmark/sts-test.csv", lines);
}

TEST(StsTest, SentencesAreEmbeddedAsThePublishedCodeHasThem) {
  const TemporaryFolder folder;
  write_stsb(folder,
             "g\tf\ty\t1\t5\t  a  man \tis it ?\n"
             "g\tf\ty\t2\t1\the said \"no\"\tends .\n"
             "g\tf\ty\t3\t2\twhat!\t\n");
  std::vector<std::string> seen;
  FakeSystem system([&](const std::string& key) {
    seen.push_back(key);
    return one_hot(seen.size() % 3, 3);
  });
  evaluate("sts", {{"data", folder.path()}, {"sts-task", "stsb"}}, system);
  EXPECT_THAT(seen,
              testing::ElementsAre("a man.", "is it .", "he said 'no'", "ends .", "what!.", "."));
}

TEST(StsTest, CorrelatesCosinesWithScores) {
  const TemporaryFolder folder;
  write_stsb(folder,
             "g\tf\ty\t1\t5.0\ta\ta\n"
             "g\tf\ty\t2\t2.5\ta\tb\n"
             "g\tf\ty\t3\t0.0\ta\tc\n");
  std::filesystem::create_directories(folder / "STS/STS13-en-test");
  for (const char* name : {"FNWN", "headlines", "OnWN"}) {
    write_file(folder / fmt::format("STS/STS13-en-test/STS.input.{}.txt", name),
               "a\tc\na\ta\na\tb\nx\ty\n");
    // The last pair has no score and does not count; headlines disagrees with the cosines.
    const bool inverse = std::string(name) == "headlines";
    write_file(folder / fmt::format("STS/STS13-en-test/STS.gs.{}.txt", name),
               inverse ? "5\n1\n3\n\n" : "1\n5\n3\n\n");
  }
  FakeSystem system([](const std::string& key) {
    const float angle = key == "a." ? 0.0f : key == "b." ? 0.5f : 1.5f;
    return std::vector<float>{std::cos(angle), std::sin(angle)};
  });
  const TaskReport stsb = evaluate("sts", {{"data", folder.path()}, {"sts-task", "stsb"}}, system);
  EXPECT_NEAR(stsb.find("stsb_spearman")->value, 100, 1e-9);
  // Cosines 1, cos 0.5 and cos 1.5 of the scores 5, 2.5 and 0.
  EXPECT_NEAR(stsb.find("stsb_pearson")->value, 92.0253, 1e-3);
  const TaskReport report =
      evaluate("sts", {{"data", folder.path()}, {"sts-task", "sts13"}}, system);
  EXPECT_NEAR(report.find("sts13_FNWN_spearman")->value, 100, 1e-9);
  EXPECT_NEAR(report.find("sts13_headlines_spearman")->value, -100, 1e-9);
  EXPECT_NEAR(report.find("sts13_spearman_mean")->value, 100.0 / 3, 1e-9);
  EXPECT_EQ(report.data["pairs"]["sts13"], 9);
  EXPECT_EQ(report.find("sts_mean_spearman"), nullptr);  // not all seven
  EXPECT_EQ(system.tasks.front(), "sts");
}

TEST(StsTest, NamesFileAndLine) {
  const TemporaryFolder folder;
  FakeSystem system([](const std::string&) { return one_hot(0, 1); });
  const auto error_of_task = [&](const std::string& task) {
    return error_of([&] {
      evaluate("sts", {{"data", folder.path()}, {"sts-task", task}}, system);
    });
  };
  EXPECT_THAT(error_of_task("stsb"), HasSubstr("looked for the folders STSBenchmark"));
  write_stsb(folder, "g\tf\ty\t1\tfive\ta\ta\n");
  EXPECT_THAT(error_of_task("stsb"), HasSubstr("line 1 has the score 'five'"));
  write_stsb(folder, "g\tf\ty\t1\t5.0\ta\n");
  EXPECT_THAT(error_of_task("stsb"), HasSubstr("line 1 has 6 tab-separated columns"));
  write_stsb(folder, "g\tf\ty\t1\tnan\ta\tb\n");
  EXPECT_THAT(error_of_task("stsb"), HasSubstr("expected a number"));
  EXPECT_THAT(error_of_task("sts17"), HasSubstr("there is no STS task 'sts17'"));
}

}  // namespace
}  // namespace e5v::detail
