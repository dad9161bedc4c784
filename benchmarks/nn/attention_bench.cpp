// Attention of the shapes that texts and pictures give, at each level of this CPU.
//
//   nn_bench --benchmark_filter=Attention

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "e5v/kernels/isa.h"
#include "e5v/nn/packed_attention.h"

namespace e5v::detail {
namespace {

struct Shape {
  const char* name;
  int64_t num_sequences, length, num_heads, num_key_value_heads, head_size;
  bool causal;
};

constexpr Shape kShapes[] = {
    {"32x32", 32, 32, 32, 8, 64, true},     {"1x512", 1, 512, 32, 8, 64, true},
    {"1x2048", 1, 2048, 32, 8, 64, true},   {"1x2048_heads_of_128", 1, 2048, 32, 8, 128, true},
    {"5_tiles", 5, 577, 16, 16, 64, false},
};

void attention(benchmark::State& state, const Shape& shape, IsaLevel level, at::ScalarType dtype) {
  const ForcedIsaLevel forced(level);
  const int64_t T = shape.num_sequences * shape.length;
  const int64_t kv = shape.num_key_value_heads;
  const at::Tensor qkv = at::randn({T, shape.num_heads + 2 * kv, shape.head_size}).to(dtype);
  const at::Tensor cu_seqlens = at::arange(0, T + 1, shape.length, at::kLong);
  const PackedAttentionOptions options{
      .causal = shape.causal, .product_dtype = dtype, .out_dtype = dtype};
  for (auto _ : state) {
    packed_attention(qkv.narrow(1, 0, shape.num_heads), qkv.narrow(1, shape.num_heads, kv),
                     qkv.narrow(1, shape.num_heads + kv, kv), cu_seqlens, cu_seqlens, options);
  }
  const double operations =
      4.0 * T * shape.length * shape.num_heads * shape.head_size * (shape.causal ? 0.5 : 1);
  state.counters["GFLOP/s"] =
      benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  for (const IsaLevel level : available_isa_levels()) {
    if (level == IsaLevel::kGeneric) continue;
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      for (const Shape& shape : kShapes) {
        const std::string name = std::string("Attention/") + to_string(level) + "/" +
                                 (dtype == at::kFloat ? "fp32/" : "bf16/") + shape.name;
        benchmark::RegisterBenchmark(name.c_str(), attention, shape, level, dtype)
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace e5v::detail
