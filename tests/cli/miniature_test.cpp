// The model that comes with the program, as a user has it who gives no --model.

#include <gmock/gmock.h>

#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

class MiniatureCommandGoldenTest : public ::testing::Test {
 protected:
  /// The figure of an evaluation of held-out scenes.
  double measure(const std::string& part, const std::string& task, const std::string& where,
                 const std::string& metric) {
    const ProgramResult drawn =
        run_e5v(fmt::format("shapes --quiet --split test --seed 21 --scenes 100 --parts {} "
                            "--output {}",
                            part, path(part)));
    EXPECT_EQ(drawn.status, 0) << drawn.err;
    const ProgramResult result = run_e5v(fmt::format(
        "eval {} --json --no-cached --split test {} --output {}", task, where, path("report")));
    EXPECT_EQ(result.status, 0) << result.err;
    return Json::parse(result.out)["metrics"][metric]["value"].get<double>();
  }
  std::string path(const std::string& name) const { return (folder_ / name).native(); }

  const TemporaryFolder folder_;
};

TEST_F(MiniatureCommandGoldenTest, FindsPicturesByWordsAndWordsByPictures) {
  const std::string gallery = path("rand") + "/rand";
  const std::string where = fmt::format("--data {0}/dataset.json --images {0}/images", gallery);
  EXPECT_GE(measure("rand", "retrieval", where, "image_retrieval_recall@1"), 95);
  const ProgramResult words = run_e5v("words --json " + gallery + "/images/000000.png");
  EXPECT_EQ(words.status, 0) << words.err;
}

// Four pictures each have captions of the same words: a bag of words would find one in four.
TEST_F(MiniatureCommandGoldenTest, TunedOnTextsAloneTellsWhatBelongsToWhat) {
  const std::string gallery = path("hard") + "/hard";
  const std::string where = fmt::format(
      "--data {0}/dataset.json --images {0}/images --adapter {1}/models/shapes-mini-texts", gallery,
      E5V_SOURCE_DIR);
  EXPECT_GE(measure("hard", "retrieval", where, "image_retrieval_recall@1"), 60);
}

TEST_F(MiniatureCommandGoldenTest, FindsPicturesByAPictureAndWords) {
  const std::string where = "--data " + path("composed") + "/composed";
  EXPECT_GE(measure("composed", "cirr", where, "cirr_recall@1"), 50);
}

}  // namespace
}  // namespace e5v::detail
