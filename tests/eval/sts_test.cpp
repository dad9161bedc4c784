#include "e5v/eval/sts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "e5v/base/error.h"
#include "tests/eval/eval_support.h"

namespace e5v {
namespace {

using testing::HasSubstr;

TEST(NormalizeStsSentenceTest, DoesWhatThePublishedCodeDoes) {
  EXPECT_EQ(normalize_sts_sentence("  a  man "), "a man.");
  EXPECT_EQ(normalize_sts_sentence("is it ?"), "is it .");
  EXPECT_EQ(normalize_sts_sentence("he said \"no\""), "he said 'no'");
  EXPECT_EQ(normalize_sts_sentence("ends ."), "ends .");
  EXPECT_EQ(normalize_sts_sentence("what!"), "what!.");
  EXPECT_EQ(normalize_sts_sentence(""), ".");
}

void write_stsb(const TemporaryFolder& folder, const std::string& lines) {
  std::filesystem::create_directories(folder / "STSBenchmark");
  write_file(folder / "STSBenchmark/sts-test.csv", lines);
}

TEST(EvaluateStsTest, CorrelatesCosinesWithScores) {
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
  const TaskReport report = evaluate_sts(system, load_sts(folder.path(), {"stsb", "sts13"}));
  EXPECT_NEAR(report.find("stsb_spearman")->value, 100, 1e-9);
  EXPECT_NEAR(report.find("sts13_FNWN_spearman")->value, 100, 1e-9);
  EXPECT_NEAR(report.find("sts13_headlines_spearman")->value, -100, 1e-9);
  EXPECT_NEAR(report.find("sts13_spearman_mean")->value, 100.0 / 3, 1e-9);
  EXPECT_EQ(report.data["pairs"]["sts13"], 9);
  EXPECT_EQ(report.find("sts_mean_spearman"), nullptr);  // not all seven
  EXPECT_EQ(system.tasks.front(), "sts");
}

TEST(LoadStsTest, NamesFileAndLine) {
  const TemporaryFolder folder;
  const auto error_of = [&](const std::string& task) {
    try {
      load_sts(folder.path(), {task});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of("stsb"), HasSubstr("looked for the folders STSBenchmark"));
  write_stsb(folder, "g\tf\ty\t1\tfive\ta\ta\n");
  EXPECT_THAT(error_of("stsb"), HasSubstr("line 1 has the score 'five'"));
  write_stsb(folder, "g\tf\ty\t1\t5.0\ta\n");
  EXPECT_THAT(error_of("stsb"), HasSubstr("line 1 has 6 tab-separated columns"));
  write_stsb(folder, "g\tf\ty\t1\tnan\ta\tb\n");
  EXPECT_THAT(error_of("stsb"), HasSubstr("expected a number"));
  EXPECT_THAT(error_of("sts17"), HasSubstr("there is no STS task 'sts17'"));
}

}  // namespace
}  // namespace e5v
