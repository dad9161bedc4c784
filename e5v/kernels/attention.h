#pragma once

#include <cstdint>

#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {

/// Rows of heads in memory: element i of head h of token t lies at t · row_stride + h · head_stride
/// + i.
struct HeadRows {
  const void* data;  ///< float or BFloat16
  bool is_bfloat16;
  int64_t row_stride, head_stride;  ///< in elements
};

/// Attention over sequences that lie end to end; what it computes is said in nn/packed_attention.h.
struct AttentionProblem {
  HeadRows q, k, v;
  int64_t num_heads, num_key_value_heads, head_size;
  /// [num_sequences + 1] first rows of each sequence, and their ends.
  const int64_t* cu_seqlens_q;
  const int64_t* cu_seqlens_k;
  int64_t num_sequences;
  bool causal;
  float scale;  ///< > 0
  /// Round the operands of both products to bf16 where this CPU multiplies bf16 faster; where it
  /// does not, the products are fp32.
  bool bfloat16_products;
  void* out;  ///< [Tq, num_heads · head_size], float or BFloat16
  bool out_is_bfloat16;
};

/// Queries are taken in blocks, keys only up to the last that a block sees, the softmax is summed
/// as they come (Milakov & Gimelshein 2018, Dao et al. 2022): memory O(Tq + Tk). Spread over
/// (sequence, head, block of queries) by OpenMP.
void attend(const AttentionProblem& problem);

}  // namespace e5v::detail
