#pragma once

#include <ATen/ATen.h>

namespace e5v::detail {

/// Attention over sequences that lie end to end, without padding: sequence b owns rows
/// [cu_seqlens_q[b], cu_seqlens_q[b + 1]) of q and [cu_seqlens_k[b], cu_seqlens_k[b + 1]) of k, v,
/// and sees nothing else. The queries of a sequence are its *last* tokens: with `causal`, query i
/// of Lq sees keys up to i + Lk − Lq, so that one query per sequence (its last token) needs no
/// mask.
///
/// Shapes: Tq and Tk tokens, H heads, Hkv key/value heads (H a multiple of Hkv; head h reads
/// h / (H / Hkv)), Dh head size, B sequences.
struct PackedAttentionOptions {
  bool causal = true;
  /// Factor on q·k before the softmax; 0 = 1 / sqrt(Dh).
  double scale = 0;
  /// Precision of both products' operands on the CPU; sums and softmax are always fp32.
  at::ScalarType product_dtype = at::kFloat;  ///< or kBFloat16
  at::ScalarType out_dtype = at::kFloat;      ///< or kBFloat16
};

/// On the CPU: memory O(Tq + Tk); a sequence's result is the same to the bit
/// whatever stands beside it in the batch.
///   q     [Tq, H, Dh], k, v [Tk, Hkv, Dh]   float32 or bfloat16, all three the same; the last
///         dimension contiguous, the others strided at will (views into a fused projection)
///   cu_*  [B + 1] int32 or int64, CPU, from 0 to Tq (Tk), not decreasing
///   returns [Tq, H · Dh] in `out_dtype`
/// Throws InputError where shapes, dtypes or offsets differ from that, or a causal sequence has
/// more queries than keys. A query without keys gives zeros.
/// Where a gradient of float32 tensors is recorded, products are float32 whatever `product_dtype`
/// says, and nothing but the inputs is kept: the backward computes the weights again, memory
/// H · Lq · Lk of the longest sequence. On other devices calls the plain form.
at::Tensor packed_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
                            const PackedAttentionOptions& options = {});

/// The same by ATen's operators, sequence after sequence: any device, differentiable, memory
/// H · Lq · Lk a sequence. The oracle of both forms above. Computes in q's dtype (softmax in
/// at least fp32) and returns `out_dtype`; `product_dtype` is not looked at.
at::Tensor packed_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
                                  const PackedAttentionOptions& options = {});

}  // namespace e5v::detail
