#include "tests/support/all_close.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <limits>
#include <sstream>

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(AllCloseTest, AllowsTheAbsoluteAndTheRelativeTolerance) {
  const torch::Tensor expected = torch::tensor({1.0, 100.0});
  EXPECT_THAT(torch::tensor({1.05, 100.05}), AllClose(expected, 0.1));
  EXPECT_THAT(torch::tensor({1.05, 101.0}), Not(AllClose(expected, 0.1)));
  EXPECT_THAT(torch::tensor({1.05, 101.0}), AllClose(expected, 0.1, 0.01));
}

TEST(AllCloseTest, RefusesAnotherShapeAndAnUndefinedTensor) {
  const torch::Tensor expected = torch::zeros({2, 3});
  EXPECT_THAT(torch::zeros({3, 2}), Not(AllClose(expected, 1.0)));
  EXPECT_THAT(torch::zeros({1, 2, 3}), Not(AllClose(expected, 1.0)));
  EXPECT_THAT(torch::Tensor(), Not(AllClose(expected, 1.0)));
}

TEST(AllCloseTest, TakesNanForCloseToNothing) {
  EXPECT_THAT(torch::tensor({kNan}), Not(AllClose(torch::tensor({1.0}), 1e9)));
  EXPECT_THAT(torch::tensor({1.0}), Not(AllClose(torch::tensor({kNan}), 1e9)));
  EXPECT_THAT(torch::tensor({kNan}), Not(AllClose(torch::tensor({kNan}), 1e9)));
}

TEST(AllCloseTest, TakesInfinitiesOfOneSignForEqual) {
  EXPECT_THAT(torch::tensor({kInfinity}), AllClose(torch::tensor({kInfinity}), 0.0, 0.1));
  EXPECT_THAT(torch::tensor({-kInfinity}), Not(AllClose(torch::tensor({kInfinity}), 0.0)));
  EXPECT_THAT(torch::tensor({1.0}), Not(AllClose(torch::tensor({kInfinity}), 0.0)));
}

TEST(AllCloseTest, SaysWhereTheWorstElementIs) {
  const torch::Tensor expected = torch::zeros({2, 3});
  torch::Tensor actual = expected.clone();
  actual[1][2] = 0.5;
  actual[0][1] = 0.25;
  std::ostringstream explanation;
  EXPECT_FALSE(AllClose(expected, 0.1).MatchAndExplain(actual, &explanation));
  EXPECT_THAT(explanation.str(), HasSubstr("0.5, at [1, 2]: 0.5, expected 0; 2 of 6"));
}

}  // namespace
}  // namespace e5v::detail
