#include "e5v/eval/gap_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/eval/eval_support.h"
#include "tests/eval/small_retrieval_set.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;

TEST(LoadGapTest, TakesEachPictureWithItsFirstCaption) {
  const TemporaryFolder folder;
  write_file(folder / "c.tsv", "a.png\tfirst\na.png\tsecond\nb.png\tother\n");
  DataOptions options{"test"};
  options.data = folder / "c.tsv";
  EXPECT_THAT(load_gap(options).captions, ElementsAre("first", "other"));
  EXPECT_THROW(load_gap(DataOptions{"test"}), ConfigError);
}

TEST(EvaluateGapTest, EachVariantHasFiguresAndAPlot) {
  const auto apart = [] {
    return std::make_unique<FakeSystem>([](const std::string& key) {
      const float side = key.starts_with("image") ? 1 : -1;
      return std::vector<float>{side, static_cast<float>(key.back() - '0') * 0.1f + 0.1f};
    });
  };
  const auto together = [] { return std::make_unique<FakeSystem>(mostly_right); };
  const TaskReport report = evaluate_gap({{"apart", "", apart}, {"together", "trained", together}},
                                         small_set(), OnMissing::kStop);
  // Pictures (1, y) and texts (−1, y) / length, y = 0.1, 0.2, 0.3; the captions are those of digit
  // 0.
  const auto x = [](double y) { return 1 / std::sqrt(1 + y * y); };
  const double image_x = (x(0.1) + x(0.2) + x(0.3)) / 3;
  const double image_y = (0.1 * x(0.1) + 0.2 * x(0.2) + 0.3 * x(0.3)) / 3;
  EXPECT_NEAR(report.find("gap_centroid_distance")->value,
              std::hypot(image_x + x(0.1), image_y - 0.1 * x(0.1)), 1e-6);
  EXPECT_EQ(report.find("gap_linear_separability")->value, 100);
  EXPECT_NEAR(report.find("gap_trained_centroid_distance")->value, 0, 1e-6);
  EXPECT_NEAR(report.find("gap_trained_alignment")->value, 0, 1e-6);
  EXPECT_EQ(report.plots.size(), 2u);
  EXPECT_EQ(report.plots[0].plot.images.size(), 3u);
  EXPECT_EQ(report.data["pairs"], 3);
}

}  // namespace
}  // namespace e5v::detail
