#include "e5v/train/run_folder.h"

#include <gmock/gmock.h>

#include <fstream>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/train/loss_curve.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

std::vector<int64_t> steps_of(const RunFolder& run) {
  std::vector<int64_t> steps;
  for (const auto& saved : run.checkpoints()) steps.push_back(saved.step);
  return steps;
}

const auto kWriteState = [](const std::filesystem::path& folder) {
  write_file(folder / "state.json", "{}");
};

TEST(RunFolderTest, KeepsTheNewestCheckpoints) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  EXPECT_FALSE(run.has_run());
  for (const int64_t step : {5, 10, 100}) run.save_checkpoint(step, 2, kWriteState);
  EXPECT_EQ(steps_of(run), (std::vector<int64_t>{10, 100}));
  EXPECT_TRUE(std::filesystem::exists(run.checkpoints().back().folder / "state.json"));
}

TEST(RunFolderTest, ACheckpointThatCannotBeWrittenLeavesTheOneBefore) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  run.save_checkpoint(1, 1, kWriteState);
  const auto fill_the_disk = [](const std::filesystem::path& path) {
    write_file(path / "adapter_model.safetensors", "half");
    throw FileError("x", "cannot write", "No space left on device");
  };
  EXPECT_THROW(run.save_checkpoint(2, 1, fill_the_disk), FileError);
  EXPECT_EQ(steps_of(run), std::vector<int64_t>{1});
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "run/checkpoints"), {}), 1);
}

TEST(RunFolderTest, AHalfWrittenCheckpointOfAKilledRunIsNotSeen) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  std::filesystem::create_directories(folder / "run/checkpoints/.partial");
  std::filesystem::create_directories(folder / "run/checkpoints/step-x");
  EXPECT_TRUE(run.checkpoints().empty());
  run.save_checkpoint(3, 1, kWriteState);
  EXPECT_EQ(steps_of(run), std::vector<int64_t>{3});
}

TEST(RunFolderTest, MetricsAreRewoundToACheckpoint) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  for (int step = 1; step <= 3; ++step) run.add_metrics({{"step", step}, {"loss", 1.0 / step}});
  std::ofstream(folder / "run/metrics.jsonl", std::ios::app) << "{\"step\": 4, \"lo";
  EXPECT_EQ(run.metrics().size(), 3u);
  run.rewind_metrics(2);
  ASSERT_EQ(run.metrics().size(), 2u);
  EXPECT_EQ(run.metrics().back()["step"], 2);
  EXPECT_THAT(loss_curve_svg(run.metrics()), HasSubstr("<polyline"));
}

TEST(LossCurveTest, EmptyAndOddMetricsAreDrawnAsWell) {
  EXPECT_THAT(loss_curve_svg({}), HasSubstr("</svg>"));
  EXPECT_THAT(loss_curve_svg({{{"step", 1}, {"loss", nullptr}}, {{"step", 1}, {"loss", 2.5}}}),
              HasSubstr("</svg>"));
}

}  // namespace
}  // namespace e5v::detail
