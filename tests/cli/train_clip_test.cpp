// From a world of shapes to a CLIP and its network of pseudo-words, and what evaluation says of
// them.

#include <gmock/gmock.h>

#include <filesystem>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TrainClipCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    run("shapes --quiet --split train --scenes 48 --side 48 --parts rand --parts conversations "
        "--output " +
        path("world"));
    run("random-model --quiet --preset shapes-mini-clip --dtype fp32 --texts " +
        path("world/words.txt") + " --output " + path("clip"));
  }

  std::string path(const std::string& name) const { return (folder_ / name).native(); }
  ProgramResult run(const std::string& arguments) const {
    const ProgramResult result = run_e5v(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    return result;
  }
  std::string train_arguments(const std::string& output) const {
    return fmt::format(
        "train --quiet --threads 1 --recipe {}/recipes/shapes/clip.json --model {} --data {} "
        "--output {} --batch-size 24 --epochs 3 --warmup-steps 1",
        E5V_SOURCE_DIR, path("clip"), path("world/picture_captions.jsonl"), path(output));
  }

  TemporaryFolder folder_;
};

TEST_F(TrainClipCommandTest, WhatIsTrainedIsEvaluatedBothAsClipAndAsSearle) {
  run(train_arguments("run"));
  const std::string clip = path("run/model");
  const std::string data = fmt::format("--split train --data {} --cache {} --json --quiet",
                                       path("world/rand/dataset.json"), path("cache"));
  const Json as_clip =
      Json::parse(run(fmt::format("eval retrieval --system clip --model {} {} --output {}", clip,
                                  data, path("clip-report")))
                      .out);
  EXPECT_EQ(as_clip["data"]["images"], 48);

  const std::string phi = fmt::format(
      "train-phi --threads 1 --model {} --data {} --output {} --batch-size 16 --max-steps 4 "
      "--save-every 2 ",
      clip, path("world/rand/images"), path("phi"));
  const ProgramResult trained = run(phi + "--json");
  EXPECT_EQ(Json::parse(trained.out)["steps"], 4);
  EXPECT_THAT(run_e5v(phi).err, HasSubstr("--resume continues it"));
  EXPECT_THAT(run_e5v(phi + "--resume --concept-weight 2").err, HasSubstr("'concept_weight' is 2"));
  run(phi + "--resume --quiet");
  // The name before --objective: the same run under another name.
  const ProgramResult same =
      run("train --objective phi --resume " + phi.substr(phi.find("--threads")));
  EXPECT_THAT(same.out, HasSubstr("finished before, all 4 steps are done"));
  const Json as_searle = Json::parse(
      run(fmt::format("eval retrieval --system searle --phi {} --model {} {} --output {}",
                      path("phi/phi.safetensors"), clip, data, path("searle-report")))
          .out);
  EXPECT_EQ(as_searle["system"]["system"], "searle");
}

TEST_F(TrainClipCommandTest, MistakesAreSaidBeforeAnythingIsTrained) {
  const std::string arguments = train_arguments("run");
  EXPECT_THAT(run_e5v(arguments + " --trainable lora").err,
              HasSubstr("'trainable' has 'lora', expected text_tower, vision_tower"));
  EXPECT_THAT(run_e5v(arguments + " --objective contrastive").err, HasSubstr("text_tower"));
  fs::remove(folder_ / "world/rand/images/000007.png");
  EXPECT_THAT(run_e5v(arguments).err, HasSubstr("1 of 48 pictures are missing"));
  EXPECT_EQ(run_e5v("train-phi --model " + path("clip")).status, 2);
  EXPECT_THAT(run_e5v(fmt::format("train-phi --model {} --data {} --output {}", path("clip"),
                                  path("nowhere"), path("phi")))
                  .err,
              HasSubstr("nowhere"));
}

}  // namespace
}  // namespace e5v::detail
