#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "e5v/base/progress.h"
#include "e5v/eval/vectors.h"

namespace e5v::detail {

/// What one query asks of a gallery. Indices are the gallery's.
struct RankingQuery {
  /// Any of them is right; may be empty where that is not known (a test split).
  std::vector<int64_t> positives;
  /// Gets score −1, as the published CIRR evaluation treats the reference; −1 = none.
  int64_t masked = -1;
  /// To be ordered among themselves as well (CIRR's Rsubset).
  std::vector<int64_t> subset;
};

struct RankedQuery {
  /// Of the best positive among all of the gallery, from 0; −1 without positives. Equal scores rank
  /// by index, the lower first.
  int64_t best_rank = -1;
  /// Of the best positive among `subset`; −1 without one.
  int64_t best_subset_rank = -1;
  std::vector<int64_t> top;       ///< the best of the gallery, best first
  std::vector<float> top_scores;  ///< of `top`
  std::vector<int64_t> subset;    ///< the query's subset, best first
};

struct RankingOptions {
  int64_t top_k = 10;  ///< entries of `top`, or the whole gallery if that is smaller
  /// Scores held at a time, at the most (but at least those of one query).
  int64_t block_scores = int64_t{1} << 24;
  ProgressCallback on_progress;  ///< counts queries
};

/// Ranks the gallery by inner product with each query, block of queries after block: memory
/// O(block_scores), never the whole table of scores. `query_of(i)` is called once for each query.
/// Throws InputError where dimensions differ, or an index is not one of the gallery's.
std::vector<RankedQuery> rank_gallery(const Vectors& queries, const Vectors& gallery,
                                      const std::function<RankingQuery(int64_t)>& query_of,
                                      const RankingOptions& options = {});

}  // namespace e5v::detail
