#include "e5v/kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "e5v/kernels/attention_kernels.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

const AttentionKernels& kernels(bool bfloat16_products) {
#if defined(E5V_KERNELS_AMX)
  if (bfloat16_products && isa_level() >= IsaLevel::kAmx) return kAmxAttention;
#endif
#if defined(E5V_KERNELS_AVX512_BF16)
  if (bfloat16_products && isa_level() >= IsaLevel::kAvx512Bf16) return kAvx512Bf16Attention;
#endif
#if defined(E5V_KERNELS_X86)
  if (isa_level() >= IsaLevel::kAvx512) return kAvx512Attention;
  if (isa_level() >= IsaLevel::kAvx2) return kAvx2Attention;
#endif
  return kGenericAttention;
}

/// Memory that a thread keeps from call to call (a model calls once a layer with the same sizes)
/// and gives back when it ends.
class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { std::free(memory_); }

  /// At least `bytes`, a multiple of 64, aligned to 64; what was there before is lost.
  std::byte* reserve(size_t bytes) {
    if (bytes <= size_) return memory_;
    std::free(memory_);
    size_ = 0;
    memory_ = static_cast<std::byte*>(std::aligned_alloc(64, bytes));
    if (memory_ == nullptr) throw std::bad_alloc();
    size_ = bytes;
    return memory_;
  }

 private:
  std::byte* memory_ = nullptr;
  size_t size_ = 0;
};

const void* address(const HeadRows& rows, int64_t token, int64_t head) {
  const int64_t offset = token * rows.row_stride + head * rows.head_stride;
  return rows.is_bfloat16
             ? static_cast<const void*>(static_cast<const BFloat16*>(rows.data) + offset)
             : static_cast<const float*>(rows.data) + offset;
}

/// Tasks of all sequences in a row: those of sequence s are [first[s], first[s + 1]).
class TaskList {
 public:
  explicit TaskList(int64_t num_sequences) { first_.reserve(num_sequences + 1); }
  void add(int64_t num_tasks) { first_.push_back(first_.back() + num_tasks); }
  int64_t size() const { return first_.back(); }

  struct Task {
    int64_t sequence, index;
  };
  Task operator[](int64_t task) const {
    const auto next = std::upper_bound(first_.begin(), first_.end(), task);
    const int64_t sequence = next - first_.begin() - 1;
    return {sequence, task - first_[sequence]};
  }

 private:
  std::vector<int64_t> first_ = {0};
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Keys that one task packs.
constexpr int64_t kPackKeys = 512;

}  // namespace

void attend(const AttentionProblem& problem) {
  const AttentionKernels& kernel = kernels(problem.bfloat16_products);
  const int64_t head_size = problem.head_size;
  const int64_t group = problem.num_heads / problem.num_key_value_heads;
  const auto num_queries = [&](int64_t s) {
    return problem.cu_seqlens_q[s + 1] - problem.cu_seqlens_q[s];
  };
  const auto num_keys = [&](int64_t s) {
    return problem.cu_seqlens_k[s + 1] - problem.cu_seqlens_k[s];
  };

  TaskList pack_tasks(problem.num_sequences), query_tasks(problem.num_sequences);
  std::vector<size_t> packed_offsets;
  size_t packed_bytes = 0;
  int64_t longest = 0;
  for (int64_t s = 0; s < problem.num_sequences; ++s) {
    const bool is_asked = num_queries(s) > 0;
    packed_offsets.push_back(packed_bytes);
    pack_tasks.add(is_asked ? problem.num_key_value_heads * divide_up(num_keys(s), kPackKeys) : 0);
    query_tasks.add(problem.num_heads * divide_up(num_queries(s), kernel.block_queries));
    if (!is_asked) continue;
    packed_bytes += problem.num_key_value_heads * kernel.packed_bytes(num_keys(s), head_size);
    longest = std::max(longest, num_keys(s));
  }
  const size_t scratch_bytes = kernel.scratch_bytes(longest, head_size);
  const int num_threads = static_cast<int>(
      std::min<int64_t>(omp_get_max_threads(), std::max<int64_t>(query_tasks.size(), 1)));
  thread_local Workspace workspace;
  std::byte* const packed = workspace.reserve(packed_bytes + num_threads * scratch_bytes);
  std::byte* const scratch = packed + packed_bytes;

  const auto packed_head = [&](int64_t s, int64_t kv_head) {
    return packed + packed_offsets[s] + kv_head * kernel.packed_bytes(num_keys(s), head_size);
  };

#pragma omp parallel num_threads(num_threads)
  {
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < pack_tasks.size(); ++i) {
      const auto [s, index] = pack_tasks[i];
      const int64_t num_parts = divide_up(num_keys(s), kPackKeys);
      const int64_t kv_head = index / num_parts, begin = index % num_parts * kPackKeys;
      const int64_t first_row = problem.cu_seqlens_k[s];
      const KeyValueHead head{address(problem.k, first_row, kv_head),
                              address(problem.v, first_row, kv_head),
                              problem.k.is_bfloat16,
                              problem.k.row_stride,
                              problem.v.row_stride,
                              num_keys(s),
                              head_size};
      kernel.pack(head, begin, std::min(begin + kPackKeys, num_keys(s)), packed_head(s, kv_head));
    }

#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < query_tasks.size(); ++i) {
      const auto [s, index] = query_tasks[i];
      const int64_t num_blocks = divide_up(num_queries(s), kernel.block_queries);
      const int64_t head = index / num_blocks;
      // The last block sees the most keys: begun first, it does not leave other threads waiting.
      const int64_t first = (num_blocks - 1 - index % num_blocks) * kernel.block_queries;
      const int64_t row = problem.cu_seqlens_q[s] + first;
      const int64_t out_offset = (row * problem.num_heads + head) * head_size;
      const QueryBlock block{
          address(problem.q, row, head),
          problem.q.is_bfloat16,
          problem.q.row_stride,
          std::min(kernel.block_queries, num_queries(s) - first),
          num_keys(s),
          head_size,
          problem.causal ? num_keys(s) - num_queries(s) + first + 1 : num_keys(s),
          problem.causal,
          problem.scale,
          problem.out_is_bfloat16
              ? static_cast<void*>(static_cast<BFloat16*>(problem.out) + out_offset)
              : static_cast<float*>(problem.out) + out_offset,
          problem.out_is_bfloat16,
          problem.num_heads * head_size};
      kernel.attend(block, packed_head(s, head / group),
                    scratch + omp_get_thread_num() * scratch_bytes);
    }
  }
}

}  // namespace e5v::detail
