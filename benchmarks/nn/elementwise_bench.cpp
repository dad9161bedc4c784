// The small work between products, for 1,024 tokens of a 1 B model, at each level of this CPU.
//
//   nn_bench --benchmark_filter=Elementwise

#include "e5v/kernels/elementwise.h"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

constexpr int64_t kTokens = 1024, kHidden = 2048, kIntermediate = 8192, kHeads = 40, kHeadSize = 64;

/// `bytes` read and written.
void report(benchmark::State& state, double bytes) {
  state.counters["GB/s"] =
      benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void rms_norm_bf16(benchmark::State& state, IsaLevel level) {
  const ForcedIsaLevel forced(level);
  const std::vector<float> x(kTokens * kHidden, 1), weight(kHidden, 1);
  std::vector<BFloat16> out(kTokens * kHidden);
  for (auto _ : state) {
    rms_norm(x.data(), weight.data(), 1e-5f, kTokens, kHidden, out.data());
  }
  report(state, 6.0 * kTokens * kHidden);
}

void silu_mul_bf16(benchmark::State& state, IsaLevel level) {
  const ForcedIsaLevel forced(level);
  const std::vector<BFloat16> gate_up(kTokens * 2 * kIntermediate, to_bfloat16(1));
  std::vector<BFloat16> out(kTokens * kIntermediate);
  for (auto _ : state) silu_mul(gate_up.data(), kTokens, kIntermediate, out.data());
  report(state, 6.0 * kTokens * kIntermediate);
}

void rotary_bf16(benchmark::State& state, IsaLevel level) {
  const ForcedIsaLevel forced(level);
  std::vector<BFloat16> x(kTokens * kHeads * kHeadSize, to_bfloat16(1));
  const std::vector<float> table(kTokens * kHeadSize / 2, 0.6f);
  for (auto _ : state) {
    rotary(x.data(), kHeads * kHeadSize, table.data(), table.data(), kTokens, kHeads, kHeadSize);
  }
  report(state, 4.0 * kTokens * kHeads * kHeadSize);
}

void quick_gelu_bf16(benchmark::State& state, IsaLevel level) {
  const ForcedIsaLevel forced(level);
  const std::vector<BFloat16> x(kTokens * kIntermediate, to_bfloat16(1));
  std::vector<BFloat16> out(kTokens * kIntermediate);
  for (auto _ : state) quick_gelu(x.data(), kTokens * kIntermediate, out.data());
  report(state, 4.0 * kTokens * kIntermediate);
}

const bool registered = [] {
  for (const IsaLevel level : {IsaLevel::kGeneric, IsaLevel::kAvx2, IsaLevel::kAvx512}) {
    if (level > highest_isa_level()) continue;
    const auto add = [&](const char* name, auto* function) {
      const std::string full = std::string("Elementwise/") + to_string(level) + "/" + name;
      benchmark::RegisterBenchmark(full.c_str(), function, level)
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    };
    add("rms_norm", rms_norm_bf16);
    add("rotary", rotary_bf16);
    add("silu_mul", silu_mul_bf16);
    add("quick_gelu", quick_gelu_bf16);
  }
  return true;
}();

}  // namespace
}  // namespace e5v::detail
