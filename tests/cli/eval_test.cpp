#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

/// The program on the golden model folder and this project's own pictures.
class EvalCommandGoldenTest : public testing::Test {
 protected:
  EvalCommandGoldenTest() {
    write_file(folder_ / "captions.tsv",
               "ball.png\ta red ball\nflower.jpg\ta flower\nhouse.png\ta house\n");
  }
  ProgramResult eval(const std::string& task, const std::string& rest) const {
    return run_e5v(fmt::format("eval {} --data {} --images {}/examples/pictures {}", task,
                               (folder_ / "captions.tsv").native(), E5V_SOURCE_DIR, rest));
  }
  std::string model_and(const std::string& report) const {
    return fmt::format("--model {}/tests/goldens/end_to_end_tiny --cache {} --output {}",
                       E5V_SOURCE_DIR, (folder_ / "cache").native(), (folder_ / report).native());
  }

  const TemporaryFolder folder_;
};

TEST_F(EvalCommandGoldenTest, WritesAReportAndComparesItWithAnother) {
  const ProgramResult result = eval("retrieval", model_and("a") + " --json");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["metrics"]["text_retrieval_recall@5"]["value"], 100);
  for (const char* name : {"results.json", "per_query.json", "report.md", "report.html"}) {
    EXPECT_TRUE(fs::exists(folder_ / "a" / name)) << name;
  }
  EXPECT_EQ(eval("retrieval", model_and("b") + " --dimensions 8 --quiet").status, 0);
  const ProgramResult compared =
      run_e5v(fmt::format("eval compare {0}/a {0}/b", folder_.path().native()));
  EXPECT_EQ(compared.status, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("| image_retrieval_recall@1 |"));
}

TEST_F(EvalCommandGoldenTest, LooksAtTheGapAndAtPrompts) {
  const ProgramResult gap = eval("gap", model_and("gap"));
  ASSERT_EQ(gap.status, 0) << gap.err;
  EXPECT_THAT(gap.out, HasSubstr("gap_no_prompt_centroid_distance"));
  const ProgramResult prompts = eval("prompts", model_and("prompts"));
  ASSERT_EQ(prompts.status, 0) << prompts.err;
  EXPECT_THAT(prompts.out, HasSubstr("image_retrieval_recall@1[last token]"));
  EXPECT_THAT(prompts.out, HasSubstr("image_retrieval_recall@1_spread"));
}

TEST_F(EvalCommandGoldenTest, WhatIsMissingOrWrongIsSaidBeforeAModelIsLoaded) {
  const std::string nowhere = "--model /nowhere --output " + (folder_ / "r").native();
  EXPECT_THAT(run_e5v("eval cirr --data /tmp " + nowhere).err,
              HasSubstr("looked for captions/cap.rc2.val.json"));
  EXPECT_THAT(eval("retrieval", "--model /nowhere").err, HasSubstr("--output is required"));
  EXPECT_THAT(eval("flickr", nowhere).err, HasSubstr("there is no task 'flickr'"));
  EXPECT_THAT(eval("retrieval", "--system clip --output " + (folder_ / "r").native()).err,
              HasSubstr("--model is required"));
  EXPECT_THAT(
      eval("retrieval", "--model /nowhere --output " + (folder_ / "captions.tsv").native()).err,
      HasSubstr("cannot create the report's folder"));
  EXPECT_EQ(run_e5v("eval compare " + (folder_ / "r").native()).status, 1);
}

TEST_F(EvalCommandGoldenTest, WordsStandSideBySide) {
  const ProgramResult words =
      run_e5v(fmt::format("words --model {0}/tests/goldens/end_to_end_tiny "
                          "{0}/examples/pictures/ball.png 'a ball' --top 3 --json",
                          E5V_SOURCE_DIR));
  ASSERT_EQ(words.status, 0) << words.err;
  const Json json = Json::parse(words.out);
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[1]["item"], "a ball");
  ASSERT_EQ(json[0]["words"].size(), 3u);
  EXPECT_GE(json[0]["words"][0]["probability"], json[0]["words"][1]["probability"]);
}

}  // namespace
}  // namespace e5v
