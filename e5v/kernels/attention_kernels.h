// One block of queries against the keys of its sequence, on one thread, as each instruction set has
// it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace e5v::detail {

/// The keys and values of one head of one sequence as the caller has them.
struct KeyValueHead {
  const void* k;
  const void* v;
  bool is_bfloat16;
  int64_t k_stride, v_stride;  // elements between tokens
  int64_t num_keys, head_size;
};

/// Queries of one head that follow each other.
struct QueryBlock {
  const void* q;
  bool is_bfloat16;
  int64_t q_stride;
  int64_t num_queries;  // 1 to AttentionKernels::block_queries
  int64_t num_keys, head_size;
  int64_t num_visible;  // keys that the first query sees
  bool causal;          // each further query sees one key more
  float scale;
  void* out;
  bool out_is_bfloat16;
  int64_t out_stride;
};

struct AttentionKernels {
  int64_t block_queries;
  /// Where a range of keys for `pack` may begin and end (the last key aside).
  int64_t key_multiple;
  /// Size of the keys and values of one head in this kernel's own order; a multiple of 64.
  size_t (*packed_bytes)(int64_t num_keys, int64_t head_size);
  /// Brings keys [begin, end) into that order; `packed` is aligned to 64 bytes.
  void (*pack)(const KeyValueHead& head, int64_t begin, int64_t end, void* packed);
  /// Memory that `attend` needs to itself; a multiple of 64.
  size_t (*scratch_bytes)(int64_t num_keys, int64_t head_size);
  void (*attend)(const QueryBlock& block, const void* packed, void* scratch);
};

extern const AttentionKernels kGenericAttention;
extern const AttentionKernels kAvx2Attention;
extern const AttentionKernels kAvx512Attention;
extern const AttentionKernels kAvx512Bf16Attention;
extern const AttentionKernels kAmxAttention;

}  // namespace e5v::detail
