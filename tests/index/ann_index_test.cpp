#include "e5v/index/ann_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"
#include "e5v/index/flat_search.h"
#include "tests/support/temporary_folder.h"

namespace e5v {
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

class AnnIndexTest : public testing::TestWithParam<IndexKind> {
 protected:
  // Product codes take long to learn; 600 vectors show as much.
  const int64_t num_rows_ = GetParam() == IndexKind::kHnsw ? 2000 : 600;
  const std::vector<float> rows_ = clustered_rows(num_rows_, 20, 1);
  const TemporaryFolder folder_;

  std::span<const float> row(int64_t index) const {
    return std::span(rows_).subspan(static_cast<size_t>(index * kSize), kSize);
  }

  /// Share of each query's ten best that are among 60 candidates.
  double recall(const AnnIndex& index) const {
    const auto queries = clustered_rows(50, 20, 1);
    std::vector<int64_t> ids(static_cast<size_t>(num_rows_));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
    int64_t found = 0;
    for (int64_t q = 0; q < 50; ++q) {
      const auto query = std::span(queries).subspan(static_cast<size_t>(q * kSize), kSize);
      const auto candidates = index.search(query, 60);
      const FlatRows flat{.data = rows_.data(), .dimensions = kSize, .ids = ids};
      for (const ScoredRow& best : flat_search(flat, query, 10)) {
        found += std::count(candidates.begin(), candidates.end(), best.row);
      }
    }
    return static_cast<double>(found) / 500;
  }
};

TEST_P(AnnIndexTest, FindsNearlyAllOfTheNearest) {
  const AnnIndex index = AnnIndex::build(GetParam(), kSize, rows_, nullptr);
  EXPECT_EQ(index.num_rows(), num_rows_);
  EXPECT_GE(recall(index), GetParam() == IndexKind::kHnsw ? 0.99 : 0.9);
}

TEST_P(AnnIndexTest, IsTheSameAfterSavingAndLoading) {
  const AnnIndex index = AnnIndex::build(GetParam(), kSize, rows_, nullptr);
  const uint64_t checksum = index.save(folder_ / "i.faiss");
  const AnnIndex loaded = AnnIndex::load(folder_ / "i.faiss", checksum, kSize);
  EXPECT_EQ(loaded.search(row(5), 20), index.search(row(5), 20));
}

TEST_P(AnnIndexTest, GrowsByWhatIsAdded) {
  const auto first = std::span(rows_).first(static_cast<size_t>((num_rows_ - 100) * kSize));
  AnnIndex index = AnnIndex::build(GetParam(), kSize, first, nullptr);
  int64_t reported = 0;
  index.add(std::span(rows_).subspan(static_cast<size_t>((num_rows_ - 100) * kSize)),
            [&](int64_t done, int64_t total) {
              reported = done;
              EXPECT_EQ(total, 100);
            });
  EXPECT_EQ(reported, 100);
  EXPECT_EQ(index.num_rows(), num_rows_);
  const auto found = index.search(row(num_rows_ - 1), 10);
  EXPECT_NE(std::find(found.begin(), found.end(), num_rows_ - 1), found.end());
}

TEST_P(AnnIndexTest, ADamagedFileIsRefused) {
  const AnnIndex index = AnnIndex::build(GetParam(), kSize, rows_, nullptr);
  const auto path = folder_ / "i.faiss";
  const uint64_t checksum = index.save(path);
  EXPECT_THROW(AnnIndex::load(path, checksum, kSize + 1), FormatError);
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] ^= 1;
  write_file(path, bytes);
  EXPECT_THROW(AnnIndex::load(path, checksum, kSize), FormatError);
  write_file(path, bytes.substr(0, 100));
  EXPECT_THROW(AnnIndex::load(path, checksum, kSize), FormatError);
  EXPECT_THROW(AnnIndex::load(folder_ / "none", checksum, kSize), FileError);
}

TEST_P(AnnIndexTest, TakesAFewVectors) {
  const AnnIndex index =
      AnnIndex::build(GetParam(), kSize, std::span(rows_).first(20 * kSize), nullptr);
  const auto found = index.search(row(3), 5);
  EXPECT_NE(std::find(found.begin(), found.end(), 3), found.end());
  EXPECT_LE(index.search(row(3), 100).size(), 20u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, AnnIndexTest, testing::Values(IndexKind::kHnsw, IndexKind::kIvfPq),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(IndexKindTest, SizeChoosesWhatAutoIs) {
  EXPECT_EQ(resolve(IndexKind::kAuto, 200'000), IndexKind::kFlat);
  EXPECT_EQ(resolve(IndexKind::kAuto, 200'001), IndexKind::kHnsw);
  EXPECT_EQ(resolve(IndexKind::kAuto, 2'000'001), IndexKind::kIvfPq);
  EXPECT_EQ(resolve(IndexKind::kFlat, 9'000'000), IndexKind::kFlat);
  EXPECT_EQ(find_index_kind("ivfpq"), IndexKind::kIvfPq);
  EXPECT_THROW(find_index_kind("tree"), ConfigError);
}

}  // namespace
}  // namespace e5v
