// Search among vectors that lie in heaps, as embeddings do: unit vectors around centres.
//
// 100,000 x 4096, 2 GB of memory; Read is what memory itself allows:
//
//   index_bench --benchmark_filter="Flat|Read"
//
// 100,000 x 256, minutes to build; reports recall@10:
//
//   index_bench --benchmark_filter=Hnsw

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "e5v/base/random.h"
#include "e5v/index/faiss_index.h"
#include "e5v/index/flat_search.h"

namespace e5v::detail {
namespace {

constexpr int64_t kRows = 100'000;
constexpr int64_t kCentres = 1'000;
constexpr int64_t kQueries = 200;

struct Vectors {
  std::vector<float> rows;     // [kRows, size]
  std::vector<float> queries;  // [kQueries, size]
  std::vector<int64_t> ids;
};

/// A centre and half as much noise; both uniform in a cube.
void append_vector(SplitMix64& random, const std::vector<float>& centres, int64_t size,
                   std::vector<float>& out) {
  const float* centre = centres.data() + random.below(kCentres) * static_cast<uint64_t>(size);
  const size_t begin = out.size();
  double squares = 0;
  for (int64_t i = 0; i < size; ++i) {
    const float noise = static_cast<float>(random.next() >> 40) * 0x1p-23f - 1;
    out.push_back(centre[i] + 0.5f * noise);
    squares += out.back() * out.back();
  }
  const auto scale = static_cast<float>(1 / std::sqrt(squares));
  for (size_t i = begin; i < out.size(); ++i) out[i] *= scale;
}

const Vectors& vectors_of(int64_t size) {
  static std::map<int64_t, Vectors> known;
  Vectors& vectors = known[size];
  if (!vectors.rows.empty()) return vectors;
  SplitMix64 random(1);
  std::vector<float> centres(static_cast<size_t>(kCentres * size));
  for (float& value : centres) value = static_cast<float>(random.next() >> 40) * 0x1p-23f - 1;
  vectors.rows.reserve(static_cast<size_t>(kRows * size));
  for (int64_t row = 0; row < kRows; ++row) append_vector(random, centres, size, vectors.rows);
  for (int64_t q = 0; q < kQueries; ++q) append_vector(random, centres, size, vectors.queries);
  vectors.ids.resize(kRows);
  std::iota(vectors.ids.begin(), vectors.ids.end(), 0);
  return vectors;
}

void flat(benchmark::State& state, bool with_quantized) {
  constexpr int64_t kSize = 4096;
  const Vectors& vectors = vectors_of(kSize);
  static const QuantizedVectors quantized = [&] {
    QuantizedVectors made(kSize);
    made.append(vectors.rows);
    return made;
  }();
  const FlatRows rows{.data = vectors.rows.data(),
                      .dimensions = kSize,
                      .ids = vectors.ids,
                      .quantized = with_quantized ? &quantized : nullptr};
  int64_t query = 0;
  for (auto _ : state) {
    const std::span<const float> values(vectors.queries.data() + query++ % kQueries * kSize, kSize);
    benchmark::DoNotOptimize(flat_search(rows, values, 10));
  }
}

void FlatFloat32(benchmark::State& state) { flat(state, false); }
void FlatWithQuantizedPass(benchmark::State& state) { flat(state, true); }
BENCHMARK(FlatFloat32)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(FlatWithQuantizedPass)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// Reads as many bytes as a flat search has to, on as many threads: no search that looks at all of
/// them is faster. Reports bytes a second.
void read_memory(benchmark::State& state, int64_t bytes) {
  const std::vector<uint64_t> words(static_cast<size_t>(bytes / 8), 1);
  for (auto _ : state) {
    uint64_t sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (size_t i = 0; i < words.size(); ++i) sum += words[i];
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

void ReadFloat32(benchmark::State& state) { read_memory(state, kRows * 4096 * 4); }
void ReadInt8(benchmark::State& state) { read_memory(state, kRows * 4096); }
BENCHMARK(ReadFloat32)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(ReadInt8)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

/// As Collection::search does for 10 results: 90 candidates, scored exactly.
void Hnsw(benchmark::State& state) {
  constexpr int64_t kSize = 256;
  const Vectors& vectors = vectors_of(kSize);
  static const IndexOptions options{.kind = IndexKind::kHnswSq8};
  static const FaissIndex index = FaissIndex::build(options, kSize, vectors.rows, nullptr);
  int64_t query = 0;
  for (auto _ : state) {
    const std::span<const float> values(vectors.queries.data() + query++ % kQueries * kSize, kSize);
    benchmark::DoNotOptimize(index.search(values, 90, options));
  }
  int64_t found = 0;
  for (int64_t q = 0; q < kQueries; ++q) {
    const std::span<const float> values(vectors.queries.data() + q * kSize, kSize);
    const FlatRows rows{.data = vectors.rows.data(), .dimensions = kSize, .ids = vectors.ids};
    const auto candidates = index.search(values, 90, options);
    for (const ScoredRow& best : flat_search(rows, values, 10)) {
      found += std::count(candidates.begin(), candidates.end(), best.row);
    }
  }
  state.counters["recall@10"] = static_cast<double>(found) / (10 * kQueries);
}
BENCHMARK(Hnsw)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace e5v::detail
