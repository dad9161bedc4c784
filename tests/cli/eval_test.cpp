#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/base/npy.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
using testing::Not;
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

/// Vectors in the order of their ids, as `e5v embed` writes them.
std::vector<std::vector<double>> embedded(const std::string& arguments) {
  const ProgramResult result = run_e5v("embed " + arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  std::vector<std::vector<double>> vectors;
  for (size_t at = 0; at < result.out.size();) {
    const size_t end = result.out.find('\n', at);
    const Json line = Json::parse(result.out.substr(at, end - at));
    vectors.push_back(line["embedding"].get<std::vector<double>>());
    at = end + 1;
  }
  return vectors;
}

TEST_F(EvalCommandGoldenTest, FiguresAreThoseOfTheVectorsThatEmbedGives) {
  const ProgramResult result = eval("run retrieval", model_and("a") + " --precision fp32 --json");
  ASSERT_EQ(result.status, 0) << result.err;
  const std::string model =
      fmt::format("--model {}/tests/goldens/end_to_end_tiny --precision fp32 ", E5V_SOURCE_DIR);
  const std::string folder = E5V_SOURCE_DIR "/examples/pictures/";
  std::string texts_file, images_file;
  for (const char* text : {"a red ball", "a flower", "a house"}) {
    texts_file += Json{{"text", text}}.dump() + "\n";
  }
  for (const char* name : {"ball.png", "flower.jpg", "house.png"}) {
    images_file += Json{{"image", folder + name}}.dump() + "\n";
  }
  write_file(folder_ / "texts.jsonl", texts_file);
  write_file(folder_ / "images.jsonl", images_file);
  // The published evaluation, and so this one, does not look at EXIF.
  const auto texts = embedded(model + "--input " + (folder_ / "texts.jsonl").native());
  const auto images = embedded(model + "--no-exif --input " + (folder_ / "images.jsonl").native());
  ASSERT_EQ(texts.size(), 3u);
  ASSERT_EQ(images.size(), 3u);
  double text_hits = 0, image_hits = 0;
  for (size_t i = 0; i < 3; ++i) {
    size_t best_image = 0, best_text = 0;
    const auto cosine_of = [&](size_t text, size_t image) {
      return std::inner_product(texts[text].begin(), texts[text].end(), images[image].begin(), 0.0);
    };
    for (size_t k = 1; k < 3; ++k) {
      if (cosine_of(i, k) > cosine_of(i, best_image)) best_image = k;
      if (cosine_of(k, i) > cosine_of(best_text, i)) best_text = k;
    }
    text_hits += best_image == i;
    image_hits += best_text == i;
  }
  const Json metrics = Json::parse(result.out)["metrics"];
  EXPECT_NEAR(metrics["image_retrieval_recall@1"]["value"], 100 * text_hits / 3, 1e-9);
  EXPECT_NEAR(metrics["text_retrieval_recall@1"]["value"], 100 * image_hits / 3, 1e-9);
}

/// Vectors of another program, of which the first of three captions finds its picture second.
class EvalVectorsTest : public EvalCommandGoldenTest {
 protected:
  EvalVectorsTest() {
    write("i.npy", {1, 0, 0, 0, 1, 0, 0, 0, 1});
    write("t.npy", {0.6f, 0.8f, 0, 0, 1, 0, 0, 0, 1});
    write("worse.npy", {0, 1, 0, 1, 0, 0, 0, 0, 1});
  }
  void write(const char* name, const std::vector<float>& values) const {
    NpyWriter writer(folder_ / name, NpyType::kFloat32, {3});
    writer.append(std::span<const float>(values));
    writer.commit();
  }
  std::string vectors_and(const std::string& report, const char* texts = "t.npy") const {
    return fmt::format(
        "--system vectors --image-vectors {0}/i.npy --text-vectors {0}/{1} "
        "--output {0}/{2}",
        folder_.path().native(), texts, report);
  }
};

TEST_F(EvalVectorsTest, WritesAReportAndComparesItWithAnother) {
  const ProgramResult result = eval("run retrieval", vectors_and("a") + " --json");
  ASSERT_EQ(result.status, 0) << result.err;
  const Json metrics = Json::parse(result.out)["metrics"];
  EXPECT_NEAR(metrics["image_retrieval_recall@1"]["value"], 200 / 3.0, 1e-9);
  EXPECT_NEAR(metrics["text_retrieval_recall@1"]["value"], 100, 1e-9);
  for (const char* name : {"results.json", "per_query.json", "report.md", "report.html"}) {
    EXPECT_TRUE(fs::exists(folder_ / "a" / name)) << name;
  }
  EXPECT_EQ(eval("run retrieval", vectors_and("b", "worse.npy") + " --quiet").status, 0);
  const std::string reports = fmt::format("{0}/a {0}/b", folder_.path().native());
  const ProgramResult compared = run_e5v("eval compare " + reports);
  EXPECT_EQ(compared.status, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("| image_retrieval_recall@1 | 66.67 | 33.33 | -33.33 ("));
  const ProgramResult json = run_e5v("eval compare --json " + reports);
  EXPECT_EQ(Json::parse(json.out)["reports"].size(), 2u);
}

TEST_F(EvalVectorsTest, OldFormsKeepWorking) {
  // A task without `run`, with options of other tasks, which have no effect.
  const ProgramResult old =
      eval("retrieval", vectors_and("old") + " --sts-task sts12 --examples 1 --json");
  ASSERT_EQ(old.status, 0) << old.err;
  const ProgramResult now = eval("run retrieval", vectors_and("now") + " --examples 1 --json");
  EXPECT_EQ(Json::parse(old.out), Json::parse(now.out));
  // The task after options.
  const ProgramResult last =
      run_e5v(fmt::format("eval --json --data {} {} retrieval --quiet",
                          (folder_ / "captions.tsv").native(), vectors_and("last")));
  EXPECT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(Json::parse(last.out), Json::parse(now.out));
  // Options that only others have are refused where the task is named after `run`.
  const ProgramResult refused = eval("run retrieval", vectors_and("r") + " --sts-task sts12");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("unknown option '--sts-task'"));
  // One report of two.
  const ProgramResult pooled = run_e5v(
      fmt::format("eval pool {0}/old {0}/now --output {0}/pooled --json", folder_.path().native()));
  EXPECT_EQ(pooled.status, 0) << pooled.err;
  EXPECT_NEAR(Json::parse(pooled.out)["metrics"]["image_retrieval_recall@1"]["value"], 200 / 3.0,
              1e-9);
  EXPECT_TRUE(fs::exists(folder_ / "pooled/report.html"));
}

TEST_F(EvalVectorsTest, AWrongNameIsAnsweredWithTheNearest) {
  EXPECT_THAT(eval("run retreival", vectors_and("r")).err, HasSubstr("did you mean 'retrieval'?"));
  EXPECT_THAT(eval("run flickr", vectors_and("r")).err, HasSubstr("did you mean 'flickr30k'?"));
  EXPECT_THAT(run_e5v("eval comprae a b").err, HasSubstr("did you mean 'compare'?"));
  EXPECT_THAT(eval("prompts", "--prompts-task sst --output r").err,
              HasSubstr("there is no task 'sst', expected one of flickr30k"));
  EXPECT_THAT(run_e5v("eval run").err, HasSubstr("no task was named"));
  EXPECT_THAT(eval("run retrieval", vectors_and("r") + " --exampels 1").err,
              HasSubstr("did you mean '--examples'? (see: e5v eval run retrieval --help)"));
}

TEST_F(EvalVectorsTest, TheHelpOfATaskHasItsDataOptionsAndPublishedFigures) {
  const std::string cirr = run_e5v("eval run cirr --help").out;
  EXPECT_THAT(cirr, HasSubstr("captions/cap.rc2.SPLIT.json"));
  EXPECT_THAT(cirr, HasSubstr("cirr_recall@50 93.54"));
  EXPECT_THAT(cirr, HasSubstr("--split TEXT=val"));
  EXPECT_THAT(cirr, Not(HasSubstr("--captions-per-image")));
  const std::string coco = run_e5v("eval run coco --help").out;
  EXPECT_THAT(coco, HasSubstr("--captions-per-image INT=5"));
  EXPECT_THAT(coco, HasSubstr("e5v eval run coco --model DIR --data coco/ --output report/"));
  EXPECT_THAT(run_e5v("eval run --help").out, HasSubstr("i2i-flickr30k"));
}

TEST_F(EvalCommandGoldenTest, LooksAtTheGapAndAtPrompts) {
  const ProgramResult gap = eval("gap", model_and("gap"));
  ASSERT_EQ(gap.status, 0) << gap.err;
  EXPECT_THAT(gap.out, HasSubstr("gap_no_prompt_centroid_distance"));
  const ProgramResult prompts = eval("prompts", model_and("prompts") + " --prompts-task retrieval");
  ASSERT_EQ(prompts.status, 0) << prompts.err;
  EXPECT_THAT(prompts.out, HasSubstr("image_retrieval_recall@1[last token]"));
  EXPECT_THAT(prompts.out, HasSubstr("image_retrieval_recall@1_spread"));
}

TEST_F(EvalCommandGoldenTest, WhatIsMissingOrWrongIsSaidBeforeAModelIsLoaded) {
  const std::string nowhere = "--model /nowhere --output " + (folder_ / "r").native();
  EXPECT_THAT(run_e5v("eval cirr --data /tmp " + nowhere).err,
              HasSubstr("looked for captions/cap.rc2.val.json"));
  EXPECT_THAT(eval("run retrieval", "--model /nowhere").err, HasSubstr("--output is required"));
  EXPECT_THAT(
      run_e5v("eval run retrieval --model /nowhere --output " + (folder_ / "none").native()).err,
      HasSubstr("--data is required"));
  EXPECT_FALSE(fs::exists(folder_ / "none"));
  EXPECT_THAT(eval("flickr", nowhere).err, HasSubstr("there is no task 'flickr'"));
  EXPECT_THAT(eval("run retrieval", "--system clip --output " + (folder_ / "r").native()).err,
              HasSubstr("--model is required"));
  EXPECT_THAT(
      eval("run retrieval", "--model /nowhere --output " + (folder_ / "captions.tsv").native()).err,
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
}  // namespace e5v::detail
