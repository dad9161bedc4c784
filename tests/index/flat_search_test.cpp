#include "e5v/index/flat_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "e5v/base/json.h"
#include "e5v/base/random.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

std::vector<float> random_unit_rows(int64_t num_rows, int64_t size, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> rows;
  for (int64_t row = 0; row < num_rows; ++row) {
    double squares = 0;
    for (int64_t i = 0; i < size; ++i) {
      rows.push_back(static_cast<float>(random.below(2001)) / 1000 - 1);
      squares += rows.back() * rows.back();
    }
    for (int64_t i = 0; i < size; ++i) {
      rows[static_cast<size_t>(row * size + i)] /= static_cast<float>(std::sqrt(squares));
    }
  }
  return rows;
}

std::vector<int64_t> ids_from_0(int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

std::vector<ScoredRow> brute_force(const FlatRows& rows, std::span<const float> query, int64_t k) {
  std::vector<ScoredRow> all;
  for (size_t row = 0; row < rows.ids.size(); ++row) {
    if (rows.ids[row] < 0) continue;
    const std::span<const float> values(rows.data + row * rows.dimensions, query.size());
    all.push_back({static_cast<int64_t>(row), rows.ids[row], exact_dot(values, query)});
  }
  std::sort(all.begin(), all.end(), ranks_before);
  all.resize(std::min<size_t>(all.size(), static_cast<size_t>(k)));
  return all;
}

/// See the generator: SplitMix64's finaliser of a counter.
std::vector<float> golden_integers(uint64_t seed, size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(mix64(seed + i) % 15) - 7;
  }
  return values;
}

TEST(FlatSearchGoldenTest, RanksAsNumPyDoesTiesById) {
  const Json expected =
      read_json(std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/flat_search/expected.json");
  constexpr size_t kRows = 10'000, kSize = 4096;
  std::vector<float> rows = golden_integers(0, kRows * kSize);
  for (size_t row = 100; row < kRows; row += 100) {
    std::copy_n(rows.begin() + (row - 1) * kSize, kSize, rows.begin() + row * kSize);
  }
  std::vector<float> queries = golden_integers(1'000'000'000'000, expected.size() * kSize);
  std::copy_n(rows.begin() + 500 * kSize, kSize, queries.end() - kSize);
  const std::vector<int64_t> ids = ids_from_0(kRows);
  QuantizedVectors quantized(kSize);
  quantized.append(rows);
  for (const QuantizedVectors* prefilter : {static_cast<const QuantizedVectors*>(nullptr),
                                            static_cast<const QuantizedVectors*>(&quantized)}) {
    const FlatRows flat{.data = rows.data(),
                        .dimensions = kSize,
                        .ids = ids,
                        .quantized = prefilter,
                        .max_norm = 7 * 64};
    for (size_t q = 0; q < expected.size(); ++q) {
      const std::span<const float> query(queries.data() + q * kSize, kSize);
      const auto found = flat_search(flat, query, 100);
      ASSERT_EQ(found.size(), 100u);
      for (size_t rank = 0; rank < found.size(); ++rank) {
        EXPECT_EQ(found[rank].row, expected[q]["rows"][rank]) << "query " << q << " rank " << rank;
        EXPECT_EQ(found[rank].score, expected[q]["scores"][rank]);
      }
    }
  }
}

class FlatSearchTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  ForcedIsaLevel level_{GetParam()};
};

TEST_P(FlatSearchTest, IsExactWithAndWithoutTheQuantizedPass) {
  const int64_t num_rows = 20'000, size = 48;  // dense, so that many estimates overlap
  const auto rows = random_unit_rows(num_rows, size, 1);
  const auto ids = ids_from_0(num_rows);
  QuantizedVectors quantized(size);
  quantized.append(std::span(rows).first(static_cast<size_t>(num_rows / 2 * size)));
  FlatRows flat{.data = rows.data(), .dimensions = size, .ids = ids};
  for (uint64_t seed = 2; seed < 8; ++seed) {
    const auto query = random_unit_rows(1, size, seed);
    for (const int64_t k : {1, 10, 3000}) {
      const auto expected = brute_force(flat, query, k);
      flat.quantized = nullptr;
      EXPECT_EQ(flat_search(flat, query, k), expected);
      flat.quantized = &quantized;
      EXPECT_EQ(flat_search(flat, query, k), expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, FlatSearchTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(FlatSearchEdgeTest, RowsOfNoItemAreNotFoundAndMinScoreCuts) {
  const int64_t num_rows = 100, size = 8;
  const auto rows = random_unit_rows(num_rows, size, 1);
  auto ids = ids_from_0(num_rows);
  const std::span<const float> query(rows.data() + 7 * size, size);
  FlatRows flat{.data = rows.data(), .dimensions = size, .ids = ids};
  EXPECT_EQ(flat_search(flat, query, 1)[0].row, 7);
  ids[7] = -1;
  EXPECT_NE(flat_search(flat, query, 1)[0].row, 7);
  for (const ScoredRow& row : flat_search(flat, query, 100, 0.5)) EXPECT_GE(row.score, 0.5);
  EXPECT_TRUE(flat_search(flat, query, 100, 1.5).empty());
  EXPECT_EQ(flat_search(flat, query, 1000).size(), 99u);
}

TEST(FlatSearchEdgeTest, NoRowsAreNoResults) {
  const std::vector<float> query(8, 0);
  EXPECT_TRUE(flat_search({.data = nullptr, .dimensions = 8, .ids = {}}, query, 10).empty());
}

TEST(FlatSearchEdgeTest, ARowOfZerosIsQuantizedToZeros) {
  QuantizedVectors quantized(4);
  quantized.append(std::vector<float>{0, 0, 0, 0, 1, 0, 0, -1});
  EXPECT_EQ(quantized.num_rows(), 2);
  EXPECT_EQ(quantized.scale(0), 0);
  EXPECT_EQ(quantized.residual(0), 0);
  EXPECT_EQ(quantized.data()[4], 127);
  EXPECT_EQ(quantized.data()[7], -127);
}

}  // namespace
}  // namespace e5v::detail
