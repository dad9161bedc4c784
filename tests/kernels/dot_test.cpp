#include "e5v/kernels/dot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

/// Runs every test at each level of this CPU, the generic one included.
class DotTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  ForcedIsaLevel level_{GetParam()};
};

template <class T>
std::vector<T> random_values(size_t size, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<T> values(size);
  for (T& value : values) value = static_cast<T>(static_cast<int>(random.below(255)) - 127);
  return values;
}

/// Σ and Σ| | of the products of one row, exactly: the values are small integers.
template <class T>
std::pair<double, double> exact_sums(const T* row, const float* query, int64_t size) {
  double sum = 0, magnitude = 0;
  for (int64_t i = 0; i < size; ++i) {
    const double product = static_cast<double>(row[i]) * query[i];
    sum += product;
    magnitude += std::abs(product);
  }
  return {sum, magnitude};
}

template <class T>
void expect_within_bound(int64_t num_rows, int64_t size) {
  const auto rows = random_values<T>(static_cast<size_t>(num_rows * size), 1);
  const auto query = random_values<float>(static_cast<size_t>(size), 2);
  std::vector<float> out(static_cast<size_t>(num_rows), -1);
  dot_rows(rows.data(), query.data(), num_rows, size, out.data());
  for (int64_t row = 0; row < num_rows; ++row) {
    const auto [sum, magnitude] = exact_sums(rows.data() + row * size, query.data(), size);
    ASSERT_NEAR(out[row], sum, dot_error_bound(size) * magnitude)
        << "row " << row << " of " << size;
  }
}

TEST_P(DotTest, StaysWithinItsErrorBound) {
  for (const int64_t size : {1, 7, 8, 31, 64, 100, 4096}) {
    expect_within_bound<float>(3, size);
    expect_within_bound<int8_t>(3, size);
  }
  expect_within_bound<float>(500, 1000);  // several threads
  expect_within_bound<int8_t>(500, 1000);
}

TEST_P(DotTest, EqualRowsGiveEqualResultsWhereverTheyStand) {
  const int64_t num_rows = 301, size = 777;
  std::vector<float> rows;
  for (int64_t row = 0; row < num_rows; ++row) {
    for (int64_t i = 0; i < size; ++i) rows.push_back(std::sin(static_cast<float>(i)));
  }
  const auto query = random_values<float>(size, 3);
  std::vector<float> out(num_rows);
  dot_rows(rows.data(), query.data(), num_rows, size, out.data());
  for (const float value : out) EXPECT_EQ(value, out[0]);
}

TEST_P(DotTest, NoRowsAreNoWork) {
  float untouched = 5;
  dot_rows(static_cast<const float*>(nullptr), nullptr, 0, 16, &untouched);
  EXPECT_EQ(untouched, 5);
}

INSTANTIATE_TEST_SUITE_P(Levels, DotTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace e5v::detail
