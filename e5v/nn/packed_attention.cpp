#include "e5v/nn/packed_attention.h"

#include <cmath>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/kernels/attention.h"
#include "e5v/nn/compat.h"

namespace e5v {
namespace {

bool is_fp32_or_bf16(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16; }

/// The offsets as checked int64.
std::vector<int64_t> read_offsets(const at::Tensor& cu_seqlens, const char* name,
                                  int64_t num_rows) {
  const bool fits = cu_seqlens.defined() && cu_seqlens.dim() == 1 && cu_seqlens.size(0) >= 1 &&
                    cu_seqlens.device().is_cpu() &&
                    (cu_seqlens.scalar_type() == at::kInt || cu_seqlens.scalar_type() == at::kLong);
  if (!fits) {
    throw InputError(fmt::format("{} must be [B + 1] int32 or int64 on the CPU", name));
  }
  const at::Tensor wide = cu_seqlens.to(at::kLong).contiguous();
  const int64_t* data = wide.data_ptr<int64_t>();
  std::vector<int64_t> offsets(data, data + wide.size(0));
  if (offsets.front() != 0 || offsets.back() != num_rows) {
    throw InputError(fmt::format("{} goes from {} to {}, expected 0 to {}", name, offsets.front(),
                                 offsets.back(), num_rows));
  }
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) {
      throw InputError(fmt::format("{}[{}] is {}, less than the {} before it", name, i, offsets[i],
                                   offsets[i - 1]));
    }
  }
  return offsets;
}

struct Offsets {
  std::vector<int64_t> q, k;
};

Offsets check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
              const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
              const PackedAttentionOptions& options) {
  const bool fits = q.defined() && k.defined() && v.defined() && q.dim() == 3 && k.dim() == 3 &&
                    k.sizes() == v.sizes() && q.size(2) == k.size(2) && q.size(2) > 0 &&
                    k.size(1) > 0 && q.size(1) > 0 && q.size(1) % k.size(1) == 0 &&
                    q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type();
  if (!fits) {
    const auto shape = [](const at::Tensor& t) {
      return t.defined() ? fmt::format("[{}] {}", fmt::join(t.sizes(), ", "),
                                       c10::toString(t.scalar_type()))
                         : std::string("undefined");
    };
    throw InputError(
        fmt::format("q is {}, k {}, v {}, expected [Tq, H, Dh] and twice [Tk, Hkv, Dh] of one "
                    "dtype, Hkv dividing H",
                    shape(q), shape(k), shape(v)));
  }
  if (!is_fp32_or_bf16(options.product_dtype) || !is_fp32_or_bf16(options.out_dtype)) {
    throw InputError("attention's product and output dtypes must be float32 or bfloat16");
  }
  if (!(options.scale >= 0) || !std::isfinite(options.scale)) {
    throw InputError(
        fmt::format("attention's scale is {}, expected > 0, or 0 for 1 / sqrt(Dh)", options.scale));
  }
  Offsets offsets{read_offsets(cu_seqlens_q, "cu_seqlens_q", q.size(0)),
                  read_offsets(cu_seqlens_k, "cu_seqlens_k", k.size(0))};
  if (offsets.q.size() != offsets.k.size()) {
    throw InputError(fmt::format("cu_seqlens_q is of {} sequences, cu_seqlens_k of {}",
                                 offsets.q.size() - 1, offsets.k.size() - 1));
  }
  for (size_t s = 0; options.causal && s + 1 < offsets.q.size(); ++s) {
    const int64_t num_queries = offsets.q[s + 1] - offsets.q[s];
    const int64_t num_keys = offsets.k[s + 1] - offsets.k[s];
    if (num_queries > num_keys) {
      throw InputError(
          fmt::format("causal sequence {} has {} queries but {} keys", s, num_queries, num_keys));
    }
  }
  return offsets;
}

double scale_of(const at::Tensor& q, const PackedAttentionOptions& options) {
  return options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(q.size(2)));
}

/// One sequence: q [Lq, H, Dh], k, v [Lk, Hkv, Dh] -> [Lq, H, Dh].
at::Tensor attend_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
                        double scale) {
  const int64_t num_queries = q.size(0), num_keys = k.size(0);
  const int64_t group = q.size(1) / k.size(1);
  const auto heads_first = [&](const at::Tensor& x) {
    return x.repeat_interleave(group, /*dim=*/1).transpose(0, 1);  // [H, Lk, Dh]
  };
  at::Tensor scores = at::matmul(q.transpose(0, 1), heads_first(k).transpose(1, 2)) * scale;
  scores = scores.to(at::promote_types(scores.scalar_type(), at::kFloat));  // [H, Lq, Lk]
  if (causal) {
    const at::Tensor hidden = at::ones({num_queries, num_keys}, q.options().dtype(at::kBool))
                                  .triu(num_keys - num_queries + 1);
    scores = scores.masked_fill(hidden, -INFINITY);
  }
  const at::Tensor weights = at::softmax(scores, -1).to(q.scalar_type());
  return at::matmul(weights, heads_first(v)).transpose(0, 1);
}

/// The common length of all sequences, or 0 if they differ.
int64_t common_length(const std::vector<int64_t>& offsets) {
  const int64_t length = offsets.size() > 1 ? offsets[1] - offsets[0] : 0;
  for (size_t s = 1; s + 1 < offsets.size(); ++s) {
    if (offsets[s + 1] - offsets[s] != length) return 0;
  }
  return length;
}

/// attend_plain of B sequences of the same lengths at once; q [B·Lq, H, Dh], k, v [B·Lk, Hkv, Dh].
at::Tensor attend_equal_lengths(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                int64_t num_sequences, bool causal, double scale) {
  const int64_t num_queries = q.size(0) / num_sequences, num_keys = k.size(0) / num_sequences;
  const int64_t group = q.size(1) / k.size(1);
  const auto heads_first = [&](const at::Tensor& x) {
    return x.unflatten(0, {num_sequences, -1}).transpose(1, 2);  // [B, heads, L, Dh]
  };
  const auto repeated = [&](const at::Tensor& x) {
    return group == 1 ? heads_first(x) : heads_first(x).repeat_interleave(group, /*dim=*/1);
  };
  at::Tensor scores = at::matmul(heads_first(q), repeated(k).transpose(2, 3)) * scale;
  scores = scores.to(at::promote_types(scores.scalar_type(), at::kFloat));  // [B, H, Lq, Lk]
  if (causal) {
    const at::Tensor hidden = at::ones({num_queries, num_keys}, q.options().dtype(at::kBool))
                                  .triu(num_keys - num_queries + 1);
    scores = scores.masked_fill(hidden, -INFINITY);
  }
  const at::Tensor weights = at::softmax(scores, -1).to(q.scalar_type());
  return at::matmul(weights, repeated(v)).transpose(1, 2).flatten(0, 1);  // [B·Lq, H, Dh]
}

HeadRows rows_of(const at::Tensor& x) {
  return {x.data_ptr(), x.scalar_type() == at::kBFloat16, x.stride(0), x.stride(1)};
}

}  // namespace

at::Tensor packed_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
                            const PackedAttentionOptions& options) {
  if ((q.defined() && !q.device().is_cpu()) || tracks_gradients(q, k, v)) {
    return packed_attention_plain(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  }
  const Offsets offsets = check(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  if (!is_fp32_or_bf16(q.scalar_type()) || !k.device().is_cpu() || !v.device().is_cpu()) {
    throw InputError(
        fmt::format("attention's q, k, v are {}, expected float32 or bfloat16 on the CPU",
                    c10::toString(q.scalar_type())));
  }
  const auto with_dense_heads = [](const at::Tensor& x) {
    return x.stride(2) == 1 ? x : x.contiguous();
  };
  const at::Tensor dense_q = with_dense_heads(q), dense_k = with_dense_heads(k),
                   dense_v = with_dense_heads(v);
  at::Tensor out =
      at::empty({q.size(0), q.size(1) * q.size(2)}, at::TensorOptions(options.out_dtype));
  attend({rows_of(dense_q), rows_of(dense_k), rows_of(dense_v), q.size(1), k.size(1), q.size(2),
          offsets.q.data(), offsets.k.data(), static_cast<int64_t>(offsets.q.size()) - 1,
          options.causal, static_cast<float>(scale_of(q, options)),
          options.product_dtype == at::kBFloat16, out.data_ptr(),
          options.out_dtype == at::kBFloat16});
  return out;
}

at::Tensor packed_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
                                  const PackedAttentionOptions& options) {
  const Offsets offsets = check(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  const double scale = scale_of(q, options);
  const auto num_sequences = static_cast<int64_t>(offsets.q.size()) - 1;
  const bool is_regular =
      num_sequences > 1 && common_length(offsets.q) > 0 && common_length(offsets.k) > 0;
  // A vision tower in training: what the backward needs is kept of all sequences anyway.
  if (is_regular && tracks_gradients(q, k, v)) {
    return attend_equal_lengths(q, k, v, num_sequences, options.causal, scale)
        .reshape({q.size(0), q.size(1) * q.size(2)})
        .to(options.out_dtype);
  }
  std::vector<at::Tensor> parts;
  for (size_t s = 0; s + 1 < offsets.q.size(); ++s) {
    const int64_t num_queries = offsets.q[s + 1] - offsets.q[s];
    const int64_t num_keys = offsets.k[s + 1] - offsets.k[s];
    const at::Tensor sequence_q = q.narrow(0, offsets.q[s], num_queries);
    if (num_keys == 0) {
      parts.push_back(at::zeros_like(sequence_q));
      continue;
    }
    parts.push_back(attend_plain(sequence_q, k.narrow(0, offsets.k[s], num_keys),
                                 v.narrow(0, offsets.k[s], num_keys), options.causal, scale));
  }
  const at::Tensor out = parts.empty() ? at::zeros_like(q) : at::cat(parts);
  return out.reshape({q.size(0), q.size(1) * q.size(2)}).to(options.out_dtype);
}

}  // namespace e5v
