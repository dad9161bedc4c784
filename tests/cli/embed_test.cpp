#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/base/npy.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

/// The program on the golden model folder, from outside.
class EmbedCommandGoldenTest : public testing::Test {
 protected:
  const fs::path model_ = fs::path(E5V_SOURCE_DIR) / "tests/goldens/end_to_end_tiny";
  const TemporaryFolder folder_;

  ProgramResult embed(const std::string& input, const std::string& rest) const {
    return run_e5v("embed --model " + model_.native() + " --input " + input + " " + rest);
  }
  fs::path items(const std::string& lines) const {
    write_file(folder_ / "items.jsonl", lines);
    return folder_ / "items.jsonl";
  }
};

TEST_F(EmbedCommandGoldenTest, WritesAnArrayAndItsIds) {
  const ProgramResult result =
      embed(model_ / "items.jsonl", "--output " + (folder_ / "v.npy").native() + " --json");
  EXPECT_EQ(result.status, 0) << result.err;
  const Json summary = Json::parse(result.out);
  EXPECT_EQ(summary["embedded"], 19);
  EXPECT_EQ(summary["skipped"], 0);
  EXPECT_EQ(NpyArray(folder_ / "v.npy").shape(), (std::vector<int64_t>{19, 32}));
  EXPECT_THAT(read_file(folder_ / "v.ids.txt"), testing::StartsWith("caption\nunicode\n"));
}

TEST_F(EmbedCommandGoldenTest, ABadItemStopsTheRunOrIsSkippedAndListed) {
  const fs::path input =
      items("{\"text\":\"a\"}\n{\"image\":\"no.png\"}\n{nonsense\n{\"text\":\"b\"}\n");
  const std::string output = "--output " + (folder_ / "v.npy").native();
  const ProgramResult stopped = embed(input, output);
  EXPECT_EQ(stopped.status, 1);
  EXPECT_THAT(stopped.err, HasSubstr("no.png: cannot open"));
  EXPECT_FALSE(fs::exists(folder_ / "v.npy"));
  const ProgramResult skipped = embed(input, output + " --on-error skip --json");
  EXPECT_EQ(skipped.status, 0) << skipped.err;
  EXPECT_EQ(Json::parse(skipped.out)["embedded"], 2);
  EXPECT_EQ(Json::parse(skipped.out)["skipped"], 2);
  EXPECT_THAT(skipped.err, HasSubstr("items.jsonl:3"));
  EXPECT_EQ(read_file(folder_ / "v.ids.txt"), "0\n3\n");
}

TEST_F(EmbedCommandGoldenTest, AMendedItemAndResumeGiveWhatOneRunGives) {
  const std::string output = (folder_ / "v.npy").native();
  EXPECT_EQ(embed(items("{\"text\":\"a\"}\n{\"image\":\"no.png\"}\n"),
                  "--batch-tokens 1 --output " + output)
                .status,
            1);
  const fs::path mended = items("{\"text\":\"a\"}\n{\"text\":\"c\"}\n");
  EXPECT_EQ(embed(mended, "--resume --output " + output).status, 0);
  EXPECT_EQ(embed(mended, "--output " + (folder_ / "once.npy").native()).status, 0);
  EXPECT_EQ(read_file(output), read_file(folder_ / "once.npy"));
  // Another order is another input.
  EXPECT_EQ(embed(items("{\"id\":\"x\",\"text\":\"a\"}\n{\"image\":\"no.png\"}\n"),
                  "--batch-tokens 1 --output " + output)
                .status,
            1);
  items("{\"text\":\"a\"}\n{\"text\":\"c\"}\n");
  const ProgramResult other = embed(mended, "--resume --output " + output);
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("item 1 was 'x', now '0'"));
}

TEST_F(EmbedCommandGoldenTest, ReplacedWeightsAreNotMixedIntoOneFile) {
  const std::string model = (folder_ / "model").native(), output = (folder_ / "v.npy").native();
  const auto make_model = [&](int seed) {
    fs::remove_all(model);
    return run_e5v("random-model --preset tiny --seed " + std::to_string(seed) + " --output " +
                   model)
        .status;
  };
  const auto embed_with_model = [&](const fs::path& input, const std::string& rest) {
    return run_e5v("embed --batch-tokens 1 --model " + model + " --input " + input.native() +
                   " --output " + output + rest);
  };
  ASSERT_EQ(make_model(1), 0);
  const std::string begun = "{\"text\":\"a\"}\n{\"image\":\"no.png\"}\n";
  ASSERT_EQ(embed_with_model(items(begun), "").status, 1);
  ASSERT_EQ(make_model(2), 0);
  const ProgramResult resumed =
      embed_with_model(items("{\"text\":\"a\"}\n{\"text\":\"c\"}\n"), " --resume");
  EXPECT_EQ(resumed.status, 2);
  EXPECT_THAT(resumed.err, HasSubstr("begun with other files in " + model + ": weights"));
}

TEST_F(EmbedCommandGoldenTest, ARunThatWasKilledGoesOn) {
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += "{\"text\":\"number " + std::to_string(i) + "\"}\n";
  const std::string input = items(lines).native(), output = (folder_ / "v.npy").native();
  const std::string model = model_.native();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::execl(E5V_PROGRAM, "e5v", "embed", "--quiet", "--model", model.c_str(), "--input",
            input.c_str(), "--output", output.c_str(), "--batch-tokens", "50", nullptr);
    ::_exit(127);
  }
  const fs::path journal = output + ".partial.log";
  for (int i = 0; i < 600 && (!fs::exists(journal) || fs::file_size(journal) < 4000); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the run ended before it could be killed";
  EXPECT_FALSE(fs::exists(output));
  const ProgramResult resumed = embed(input, "--batch-tokens 50 --resume --output " + output);
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("items were done before"));
  EXPECT_EQ(embed(input, "--output " + (folder_ / "once.npy").native()).status, 0);
  EXPECT_EQ(read_file(output), read_file(folder_ / "once.npy"));
  EXPECT_EQ(read_file(folder_ / "v.ids.txt"), read_file(folder_ / "once.ids.txt"));
}

TEST_F(EmbedCommandGoldenTest, UsageErrorsExitWith2AndFailuresWith1) {
  EXPECT_EQ(embed("x", "--output v.csv").status, 2);
  EXPECT_EQ(embed("x", "--output v.npy --task sing").status, 1);  // x does not exist
  EXPECT_EQ(embed(model_ / "items.jsonl", "--task sing").status, 2);
  EXPECT_EQ(embed(model_ / "items.jsonl", "--precision fp16 --device cpu").status, 2);
  EXPECT_EQ(embed(model_ / "items.jsonl", "--output /no/such/folder/v.npy").status, 1);
  EXPECT_EQ(run_e5v("embed").status, 2);
  EXPECT_EQ(run_e5v("embed --model /no/such --input " + (model_ / "items.jsonl").native()).status,
            1);
}

TEST_F(EmbedCommandGoldenTest, SimilarityOfAnItemWithItselfIsOne) {
  const ProgramResult result = run_e5v("similarity --json --model " + model_.native() + " dog " +
                                       (model_ / "images/gray_40x60.png").native());
  EXPECT_EQ(result.status, 0) << result.err;
  const Json matrix = Json::parse(result.out)["similarity"];
  EXPECT_NEAR(matrix[0][0].get<double>(), 1, 1e-6);
  EXPECT_NEAR(matrix[1][1].get<double>(), 1, 1e-6);
  EXPECT_EQ(matrix[0][1], matrix[1][0]);
}

}  // namespace
}  // namespace e5v::detail
