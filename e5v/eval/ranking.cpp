#include "e5v/eval/ranking.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// The vectors in place.
at::Tensor view(const Vectors& vectors) {
  return at::from_blob(const_cast<float*>(vectors.values.data()),
                       {vectors.size(), vectors.dimensions}, at::kFloat);
}

void check_indices(const RankingQuery& query, int64_t size) {
  const auto inside = [size](int64_t index) { return index >= 0 && index < size; };
  const bool fits = std::all_of(query.positives.begin(), query.positives.end(), inside) &&
                    std::all_of(query.subset.begin(), query.subset.end(), inside) &&
                    (query.masked == -1 || inside(query.masked));
  if (!fits)
    throw InputError(fmt::format("a query has an index outside of the gallery's {} items", size));
}

/// The order of the gallery: higher scores first, then lower indices.
struct Better {
  const float* scores;
  bool operator()(int64_t a, int64_t b) const {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  }
};

/// How many of the gallery come before `item`.
int64_t rank_of(int64_t item, const float* scores, int64_t size) {
  const float score = scores[item];
  int64_t before = 0;
  for (int64_t i = 0; i < item; ++i) before += scores[i] >= score;
  for (int64_t i = item + 1; i < size; ++i) before += scores[i] > score;
  return before;
}

/// The `count` best, best first. `count` is small beside `size`: almost every score is only
/// compared with the worst of the best so far.
std::vector<int64_t> best_of(const float* scores, int64_t size, int64_t count) {
  const Better better{scores};
  std::vector<int64_t> heap(static_cast<size_t>(count));  // the worst first
  std::iota(heap.begin(), heap.end(), int64_t{0});
  if (count == 0) return heap;
  std::make_heap(heap.begin(), heap.end(), better);
  float worst = scores[heap.front()];
  for (int64_t i = count; i < size; ++i) {
    if (!(scores[i] > worst)) continue;  // of equal scores the lower index stays
    std::pop_heap(heap.begin(), heap.end(), better);
    heap.back() = i;
    std::push_heap(heap.begin(), heap.end(), better);
    worst = scores[heap.front()];
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  return heap;
}

RankedQuery rank_one(const RankingQuery& query, float* scores, int64_t size, int64_t top_k) {
  if (query.masked >= 0) scores[query.masked] = -1;
  const Better better{scores};
  RankedQuery ranked;
  if (!query.positives.empty()) {
    const int64_t best = *std::min_element(query.positives.begin(), query.positives.end(), better);
    ranked.best_rank = rank_of(best, scores, size);
  }
  ranked.top = best_of(scores, size, std::min(top_k, size));
  for (const int64_t i : ranked.top) ranked.top_scores.push_back(scores[i]);

  ranked.subset = query.subset;
  std::sort(ranked.subset.begin(), ranked.subset.end(), better);
  for (size_t i = 0; i < ranked.subset.size() && ranked.best_subset_rank < 0; ++i) {
    const bool is_positive = std::find(query.positives.begin(), query.positives.end(),
                                       ranked.subset[i]) != query.positives.end();
    if (is_positive) ranked.best_subset_rank = static_cast<int64_t>(i);
  }
  return ranked;
}

}  // namespace

std::vector<RankedQuery> rank_gallery(const Vectors& queries, const Vectors& gallery,
                                      const std::function<RankingQuery(int64_t)>& query_of,
                                      const RankingOptions& options) {
  const int64_t Q = queries.size(), G = gallery.size();
  if (Q == 0) return {};
  if (G == 0) throw InputError("the gallery to be ranked is empty");
  if (queries.dimensions != gallery.dimensions) {
    throw InputError(fmt::format("queries have {} dimensions, but the gallery {}",
                                 queries.dimensions, gallery.dimensions));
  }
  const at::NoGradGuard no_grad;
  std::vector<RankedQuery> ranked(static_cast<size_t>(Q));
  const at::Tensor all_queries = view(queries), items = view(gallery).t();
  const int64_t block = std::max<int64_t>(1, options.block_scores / G);
  at::Tensor scores = at::empty({std::min(block, Q), G}, at::kFloat);
  for (int64_t begin = 0; begin < Q; begin += block) {
    const int64_t end = std::min(Q, begin + block);
    std::vector<RankingQuery> asked;
    for (int64_t i = begin; i < end; ++i) {
      check_indices(asked.emplace_back(query_of(i)), G);
    }
    at::Tensor part = scores.narrow(0, 0, end - begin);
    at::mm_out(part, all_queries.narrow(0, begin, end - begin), items);
    float* rows = part.data_ptr<float>();
    at::parallel_for(0, end - begin, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        ranked[static_cast<size_t>(begin + i)] =
            rank_one(asked[static_cast<size_t>(i)], rows + i * G, G, options.top_k);
      }
    });
    if (options.on_progress) {
      options.on_progress(static_cast<uint64_t>(end), static_cast<uint64_t>(Q));
    }
  }
  return ranked;
}

}  // namespace e5v::detail
