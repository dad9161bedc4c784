// The rate of matrix products alone, with which all other speed is compared, and what PackedWeight
// reaches at a model's shapes.
//
//   nn_bench --benchmark_filter='Peak|Packed'

#include <benchmark/benchmark.h>

#include "e5v/nn/packed_weight.h"
#include "e5v/nn/product_rate.h"

namespace e5v::detail {
namespace {

void Peak(benchmark::State& state, at::ScalarType dtype) {
  double rate = 0;
  for (auto _ : state) rate = measure_product_rate(dtype);
  state.counters["GFLOP/s"] = rate;
}
BENCHMARK_CAPTURE(Peak, fp32, at::kFloat)->Iterations(1);
BENCHMARK_CAPTURE(Peak, bf16, at::kBFloat16)->Iterations(1);
BENCHMARK_CAPTURE(Peak, int8, at::kChar)->Iterations(1);

/// Arguments: rows, in_features, out_features.
void Packed(benchmark::State& state, at::ScalarType dtype) {
  const int64_t rows = state.range(0), in_features = state.range(1), out_features = state.range(2);
  const PackedWeight weight(at::ones({out_features, in_features}), dtype);
  const at::Tensor x = at::ones({rows, in_features}, dtype);
  const at::Tensor y = at::empty({rows, out_features}, dtype);
  weight.matmul(x, {}, y);
  for (auto _ : state) weight.matmul(x, {}, y);
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * static_cast<double>(rows * in_features * out_features),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void model_shapes(benchmark::internal::Benchmark* bench) {
  for (const int64_t rows : {1, 32, 256, 1000, 1024}) {
    bench->Args({rows, 2048, 3072})->Args({rows, 2048, 16384})->Args({rows, 8192, 2048});
  }
  bench->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(Packed, fp32, at::kFloat)->Apply(model_shapes);
BENCHMARK_CAPTURE(Packed, bf16, at::kBFloat16)->Apply(model_shapes);

}  // namespace
}  // namespace e5v::detail
