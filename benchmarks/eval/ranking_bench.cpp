// Ranking a gallery, in the sizes of COCO's test split with E5-V's vectors.
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include "e5v/base/random.h"
#include "e5v/base/threads.h"
#include "e5v/eval/ranking.h"

namespace e5v::detail {
namespace {

Vectors random_vectors(int64_t count, int64_t dimensions, uint64_t seed) {
  Vectors vectors;
  vectors.dimensions = dimensions;
  SplitMix64 random(seed);
  for (int64_t i = 0; i < count * dimensions; ++i) {
    vectors.values.push_back(static_cast<float>(random.next() >> 40) / (1 << 24) - 0.5f);
  }
  normalize(vectors, "random vectors");
  return vectors;
}

/// queries, gallery, dimensions.
void rank(benchmark::State& state) {
  at::set_num_threads(usable_cores());
  const Vectors queries = random_vectors(state.range(0), state.range(2), 1);
  const Vectors gallery = random_vectors(state.range(1), state.range(2), 2);
  const int64_t share = std::max<int64_t>(1, state.range(0) / state.range(1));
  for (auto _ : state) {
    const auto ranked = rank_gallery(queries, gallery, [&](int64_t q) {
      return RankingQuery{.positives = {std::min(q / share, gallery.size() - 1)}};
    });
    benchmark::DoNotOptimize(ranked.data());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double vectors_gb =
      static_cast<double>((state.range(0) + state.range(1)) * state.range(2)) * 4e-9;
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(state.range(0) * state.range(1) * state.range(2)),
      benchmark::Counter::kIsIterationInvariantRate);
  state.counters["peak_GB"] = static_cast<double>(usage.ru_maxrss) * 1024e-9;
  state.counters["vectors_GB"] = vectors_gb;
}
BENCHMARK(rank)
    ->Args({25000, 5000, 4096})
    ->Args({5000, 25000, 4096})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(1);

}  // namespace
}  // namespace e5v::detail
