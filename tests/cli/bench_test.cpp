#include <gtest/gtest.h>

#include <algorithm>

#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

class BenchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_e5v("random-model --quiet --preset tiny --output " + model()).status, 0);
  }
  std::string model() const { return (folder_ / "tiny").native(); }

  TemporaryFolder folder_;
};

TEST_F(BenchTest, PrintsALineForEachBatch) {
  const ProgramResult result =
      run_e5v("bench --quiet --texts 2x5 --repetitions 2 --model " + model());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("2x5"), std::string::npos);
  EXPECT_NE(result.out.find("photo 640x480"), std::string::npos);
  EXPECT_NE(result.out.find("GFLOP/s"), std::string::npos);
}

TEST_F(BenchTest, GivesEveryTimeAsJson) {
  const ProgramResult result = run_e5v(
      "bench --json --quiet --precision fp32 --texts 2x5 --texts 1x7 --photo none --repetitions 3 "
      "--model " +
      model());
  ASSERT_EQ(result.status, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  EXPECT_EQ(json.at("precision"), "fp32");
  EXPECT_GT(json.at("product_rate_gflop_per_s").get<double>(), 0);
  ASSERT_EQ(json.at("measurements").size(), 2u);
  const Json& first = json.at("measurements")[0];
  EXPECT_EQ(first.at("name"), "2x5");
  EXPECT_EQ(first.at("tokens"), 10);
  EXPECT_EQ(first.at("times_ms").size(), 3u);
  EXPECT_EQ(first.at("median_ms"), first.at("times_ms")[1]);
  EXPECT_EQ(json.at("measurements")[1].at("tokens"), 7);
}

TEST_F(BenchTest, MeasuresSeveralPicturesInOneBatch) {
  const ProgramResult result = run_e5v(
      "bench --json --quiet --texts none --photo 60x50 --photo 3x60x50 --repetitions 1 --model " +
      model());
  ASSERT_EQ(result.status, 0) << result.err;
  const Json rows = parse_json(result.out, "stdout").at("measurements");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].at("name"), "photo 3x60x50");
  EXPECT_EQ(rows[1].at("tokens"), 3 * rows[0].at("tokens").get<int>());
}

TEST_F(BenchTest, RefusesPicturesThatAreNone) {
  for (const char* shape : {"640", "640x", "0x640x480", "1x2x3x4", "axb"}) {
    const ProgramResult result =
        run_e5v("bench --quiet --texts none --photo " + std::string(shape) + " --model " + model());
    EXPECT_NE(result.status, 0) << shape;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST_F(BenchTest, RefusesShapesThatAreNone) {
  for (const char* shape : {"32", "0x5", "5x", "ax3", "-1x4", "3x99999999999", "1x4x4"}) {
    const ProgramResult result =
        run_e5v("bench --quiet --photo none --texts " + std::string(shape) + " --model " + model());
    EXPECT_NE(result.status, 0) << shape;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

}  // namespace
}  // namespace e5v::detail
