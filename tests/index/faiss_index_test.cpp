#include "e5v/index/faiss_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"
#include "e5v/index/flat_search.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

constexpr int64_t kSize = 32;

/// Unit vectors around `num_centres` random ones, as embeddings lie.
std::vector<float> clustered_rows(int64_t num_rows, int64_t num_centres, uint64_t seed) {
  SplitMix64 random(seed);
  const auto draw = [&] { return static_cast<float>(random.below(2001)) / 1000 - 1; };
  std::vector<float> centres(static_cast<size_t>(num_centres * kSize));
  for (float& value : centres) value = draw();
  std::vector<float> rows;
  for (int64_t row = 0; row < num_rows; ++row) {
    const float* centre = centres.data() + random.below(num_centres) * kSize;
    double squares = 0;
    for (int64_t i = 0; i < kSize; ++i) {
      rows.push_back(centre[i] + 0.5f * draw());
      squares += rows.back() * rows.back();
    }
    for (auto it = rows.end() - kSize; it != rows.end(); ++it) {
      *it /= static_cast<float>(std::sqrt(squares));
    }
  }
  return rows;
}

class FaissIndexTest : public testing::TestWithParam<IndexKind> {
 protected:
  // Product codes take long to learn; 600 vectors show as much.
  const int64_t num_rows_ = GetParam() == IndexKind::kHnswSq8 ? 2000 : 600;
  const std::vector<float> rows_ = clustered_rows(num_rows_, 20, 1);
  const TemporaryFolder folder_;
  const IndexOptions options_{.kind = GetParam()};

  std::span<const float> row(int64_t index) const {
    return std::span(rows_).subspan(static_cast<size_t>(index * kSize), kSize);
  }

  /// Share of each query's ten best that are among 60 candidates.
  double recall(const FaissIndex& index, const IndexOptions& options) const {
    const auto queries = clustered_rows(50, 20, 1);
    std::vector<int64_t> ids(static_cast<size_t>(num_rows_));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
    int64_t found = 0;
    for (int64_t q = 0; q < 50; ++q) {
      const auto query = std::span(queries).subspan(static_cast<size_t>(q * kSize), kSize);
      const auto candidates = index.search(query, 60, options);
      const FlatRows flat{.data = rows_.data(), .dimensions = kSize, .ids = ids};
      for (const ScoredRow& best : flat_search(flat, query, 10)) {
        found += std::count(candidates.begin(), candidates.end(), best.row);
      }
    }
    return static_cast<double>(found) / 500;
  }
};

TEST_P(FaissIndexTest, FindsNearlyAllOfTheNearest) {
  const FaissIndex index = FaissIndex::build(options_, kSize, rows_, nullptr);
  EXPECT_EQ(index.num_rows(), num_rows_);
  EXPECT_GE(recall(index, options_), GetParam() == IndexKind::kHnswSq8 ? 0.99 : 0.9);
}

TEST_P(FaissIndexTest, IsTheSameAfterSavingAndLoading) {
  const FaissIndex index = FaissIndex::build(options_, kSize, rows_, nullptr);
  const uint64_t checksum = index.save(folder_ / "i.faiss");
  const FaissIndex loaded = FaissIndex::load(folder_ / "i.faiss", checksum, kSize);
  EXPECT_EQ(loaded.search(row(5), 20, options_), index.search(row(5), 20, options_));
}

TEST_P(FaissIndexTest, GrowsByWhatIsAdded) {
  const auto first = std::span(rows_).first(static_cast<size_t>((num_rows_ - 100) * kSize));
  FaissIndex index = FaissIndex::build(options_, kSize, first, nullptr);
  int64_t reported = 0;
  index.add(std::span(rows_).subspan(static_cast<size_t>((num_rows_ - 100) * kSize)),
            [&](int64_t done, int64_t total) {
              reported = done;
              EXPECT_EQ(total, 100);
            });
  EXPECT_EQ(reported, 100);
  EXPECT_EQ(index.num_rows(), num_rows_);
  const auto found = index.search(row(num_rows_ - 1), 10, options_);
  EXPECT_NE(std::find(found.begin(), found.end(), num_rows_ - 1), found.end());
}

TEST_P(FaissIndexTest, ADamagedFileIsRefused) {
  const FaissIndex index = FaissIndex::build(options_, kSize, rows_, nullptr);
  const auto path = folder_ / "i.faiss";
  const uint64_t checksum = index.save(path);
  EXPECT_THROW(FaissIndex::load(path, checksum, kSize + 1), FormatError);
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] ^= 1;
  write_file(path, bytes);
  EXPECT_THROW(FaissIndex::load(path, checksum, kSize), FormatError);
  write_file(path, bytes.substr(0, 100));
  EXPECT_THROW(FaissIndex::load(path, checksum, kSize), FormatError);
  EXPECT_THROW(FaissIndex::load(folder_ / "none", checksum, kSize), FileError);
}

TEST_P(FaissIndexTest, TakesAFewVectors) {
  const FaissIndex index =
      FaissIndex::build(options_, kSize, std::span(rows_).first(20 * kSize), nullptr);
  const auto found = index.search(row(3), 5, options_);
  EXPECT_NE(std::find(found.begin(), found.end(), 3), found.end());
  EXPECT_LE(index.search(row(3), 100, options_).size(), 20u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FaissIndexTest,
                         testing::Values(IndexKind::kHnswSq8, IndexKind::kIvfPq),
                         [](const auto& info) {
                           return info.param == IndexKind::kHnswSq8 ? "HnswSq8" : "IvfPq";
                         });

TEST(HnswTest, FewerLinksMakeASmallerIndex) {
  const std::vector<float> rows = clustered_rows(500, 20, 1);
  const TemporaryFolder folder;
  const auto size = [&](const IndexOptions& options) {
    FaissIndex::build(options, kSize, rows, nullptr).save(folder / "i.faiss");
    return std::filesystem::file_size(folder / "i.faiss");
  };
  const auto usual = size({.kind = IndexKind::kHnswSq8});
  const auto fewer = size({.kind = IndexKind::kHnswSq8, .M = 8});
  // At the lowest level twice M numbers of 4 bytes for each vector; levels above have few.
  EXPECT_NEAR(static_cast<double>(usual - fewer), 500 * 2 * (32 - 8) * 4, 5000);
}

/// How many of 500 vectors a search for themselves finds, of an index of few links: a good graph is
/// searched well with any breadth.
int64_t num_found(int64_t efConstruction, int64_t efSearch) {
  const std::vector<float> rows = clustered_rows(500, 20, 1);
  const IndexOptions options{
      .kind = IndexKind::kHnswSq8, .M = 4, .efConstruction = efConstruction, .efSearch = efSearch};
  const FaissIndex index = FaissIndex::build(options, kSize, rows, nullptr);
  int64_t found = 0;
  for (int64_t row = 0; row < 500; ++row) {
    const auto query = std::span(rows).subspan(static_cast<size_t>(row * kSize), kSize);
    found += index.search(query, 1, options) == std::vector<int64_t>{row};
  }
  return found;
}

TEST(HnswTest, FewerCandidatesMakeAWorseGraph) {
  EXPECT_LT(num_found(1, 16), num_found(200, 16) - 5);
}

TEST(HnswTest, FewerCandidatesInASearchFindLess) {
  EXPECT_LT(num_found(200, 1), num_found(200, 256) - 20);
}

TEST(IvfTest, FewerClustersInASearchFindLess) {
  const std::vector<float> rows = clustered_rows(600, 20, 1);
  IndexOptions options{.kind = IndexKind::kIvfPq, .nprobe = 1};
  const FaissIndex index = FaissIndex::build(options, kSize, rows, nullptr);
  const auto num_candidates = [&](int64_t nprobe) {
    options.nprobe = nprobe;
    return index.search(std::span(rows).first(kSize), 600, options).size();
  };
  EXPECT_LT(num_candidates(1), num_candidates(0));
  EXPECT_LT(num_candidates(0), 600u);
  EXPECT_EQ(num_candidates(1'000'000), 600u);
}

}  // namespace
}  // namespace e5v::detail
