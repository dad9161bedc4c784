#include "e5v/nn/packed_attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/kernels/attention.h"
#include "e5v/nn/compat.h"
#include "e5v/nn/own_gradient.h"

namespace e5v::detail {
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

HeadRows rows_of(const at::Tensor& x) {
  return {x.data_ptr(), x.scalar_type() == at::kBFloat16, x.stride(0), x.stride(1)};
}

at::Tensor attend_on_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const Offsets& offsets, const PackedAttentionOptions& options) {
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

/// Sequences that follow each other and are equally long: one batch of products.
struct Run {
  int64_t count, first_query, num_queries, first_key, num_keys;
};

std::vector<Run> equal_runs(const Offsets& offsets, int64_t num_heads) {
  constexpr int64_t kMaxScores = int64_t{1} << 22;  // of one run, where it has several sequences
  std::vector<Run> runs;
  for (size_t s = 0; s + 1 < offsets.q.size(); ++s) {
    const int64_t num_queries = offsets.q[s + 1] - offsets.q[s];
    const int64_t num_keys = offsets.k[s + 1] - offsets.k[s];
    if (num_queries == 0 || num_keys == 0) continue;
    const bool joins = !runs.empty() && runs.back().num_queries == num_queries &&
                       runs.back().num_keys == num_keys &&
                       runs.back().first_query + runs.back().count * num_queries == offsets.q[s] &&
                       runs.back().first_key + runs.back().count * num_keys == offsets.k[s] &&
                       (runs.back().count + 1) * num_heads * num_queries * num_keys <= kMaxScores;
    if (joins) {
      ++runs.back().count;
    } else {
      runs.push_back({1, offsets.q[s], num_queries, offsets.k[s], num_keys});
    }
  }
  return runs;
}

/// The gradients of q, k and v, all float32; every run's weights are computed again.
///   dy  [Tq, H, Dh]
std::vector<at::Tensor> attention_backward(const at::Tensor& q, const at::Tensor& k,
                                           const at::Tensor& v, const at::Tensor& dy,
                                           const Offsets& offsets, bool causal, double scale) {
  const int64_t H = q.size(1), Hkv = k.size(1), Dh = q.size(2), group = H / Hkv;
  const std::vector<Run> runs = equal_runs(offsets, H);
  int64_t longest = 0;
  for (const Run& run : runs) longest = std::max(longest, run.num_keys);
  // hidden[i][j]: key j comes after key i.
  const at::Tensor hidden = causal ? at::ones({longest, longest}, at::kBool).triu(1) : at::Tensor();
  at::Tensor dq = at::zeros(q.sizes(), q.options());
  at::Tensor dk = at::zeros(k.sizes(), k.options()), dv = at::zeros(v.sizes(), v.options());
  for (const Run& run : runs) {
    const int64_t n = run.count, Lq = run.num_queries, Lk = run.num_keys;
    const auto queries_of = [&](const at::Tensor& x) {  // [n, Lq, H, Dh]
      return x.narrow(0, run.first_query, n * Lq).view({n, Lq, H, Dh});
    };
    const auto keys_of = [&](const at::Tensor& x) {  // [n, Lk, Hkv, Dh]
      return x.narrow(0, run.first_key, n * Lk).view({n, Lk, Hkv, Dh});
    };
    const auto by_head = [&](const at::Tensor& x) {  // [n · H, L, Dh]
      const at::Tensor all = x.size(2) == H ? x : x.repeat_interleave(group, /*dim=*/2);
      return all.transpose(1, 2).reshape({n * H, x.size(1), Dh});
    };
    const auto by_token = [&](const at::Tensor& x, int64_t length) {  // [n, L, H, Dh]
      return x.view({n, H, length, Dh}).transpose(1, 2);
    };
    const auto sum_groups = [&](const at::Tensor& x) {  // [n, Lk, Hkv, Dh]
      return group == 1 ? x : x.reshape({n, Lk, Hkv, group, Dh}).sum(3);
    };
    const at::Tensor run_q = by_head(queries_of(q)) * scale, run_k = by_head(keys_of(k));
    at::Tensor weights = at::bmm(run_q, run_k.transpose(1, 2));  // [n · H, Lq, Lk]
    if (causal) {
      weights.masked_fill_(hidden.narrow(0, Lk - Lq, Lq).narrow(1, 0, Lk), -INFINITY);
    }
    weights = at::softmax(weights, -1);
    const at::Tensor run_dy = by_head(queries_of(dy));
    keys_of(dv).copy_(sum_groups(by_token(at::bmm(weights.transpose(1, 2), run_dy), Lk)));
    const at::Tensor dweights = at::bmm(run_dy, by_head(keys_of(v)).transpose(1, 2));
    const at::Tensor dscores = at::_softmax_backward_data(dweights, weights, -1, at::kFloat);
    queries_of(dq).copy_(by_token(at::bmm(dscores, run_k), Lq).mul_(scale));
    keys_of(dk).copy_(sum_groups(by_token(at::bmm(dscores.transpose(1, 2), run_q), Lk)));
  }
  return {dq, dk, dv};
}

}  // namespace

at::Tensor packed_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
                            const PackedAttentionOptions& options) {
  if (q.defined() && !q.device().is_cpu()) {
    return packed_attention_plain(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  }
  const Offsets offsets = check(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  if (!is_fp32_or_bf16(q.scalar_type()) || !k.device().is_cpu() || !v.device().is_cpu()) {
    throw InputError(
        fmt::format("attention's q, k, v are {}, expected float32 or bfloat16 on the CPU",
                    c10::toString(q.scalar_type())));
  }
  if (!tracks_gradients(q, k, v)) return attend_on_cpu(q, k, v, offsets, options);
  if (q.scalar_type() != at::kFloat) {
    return packed_attention_plain(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  }
  // float32 products whatever was asked for: the backward computes the weights again in float32.
  const PackedAttentionOptions exact{.causal = options.causal, .scale = options.scale};
  at::Tensor y = [&] {
    const at::NoGradGuard no_grad;
    return attend_on_cpu(q, k, v, offsets, exact);
  }();
  const double scale = scale_of(q, options);
  y = with_own_gradient(std::move(y), {q, k, v},
                        [q = q.detach(), k = k.detach(), v = v.detach(), offsets,
                         causal = options.causal, scale](const at::Tensor& dy) {
                          return attention_backward(q, k, v, dy.contiguous().view(q.sizes()),
                                                    offsets, causal, scale);
                        });
  return y.to(options.out_dtype);
}

at::Tensor packed_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const at::Tensor& cu_seqlens_q, const at::Tensor& cu_seqlens_k,
                                  const PackedAttentionOptions& options) {
  const Offsets offsets = check(q, k, v, cu_seqlens_q, cu_seqlens_k, options);
  const double scale = scale_of(q, options);
  // Not by narrow, whose backward fills a tensor of all tokens for each sequence.
  const auto split = [](const at::Tensor& x, const std::vector<int64_t>& sums) {
    std::vector<int64_t> lengths(sums.size());
    std::adjacent_difference(sums.begin(), sums.end(), lengths.begin());
    return x.split_with_sizes(at::IntArrayRef(lengths).slice(1));
  };
  const auto qs = split(q, offsets.q), ks = split(k, offsets.k), vs = split(v, offsets.k);
  std::vector<at::Tensor> parts;
  for (size_t s = 0; s < qs.size(); ++s) {
    parts.push_back(ks[s].size(0) == 0 ? at::zeros_like(qs[s])
                                       : attend_plain(qs[s], ks[s], vs[s], options.causal, scale));
  }
  const at::Tensor out = parts.empty() ? at::zeros_like(q) : at::cat(parts);
  return out.reshape({q.size(0), q.size(1) * q.size(2)}).to(options.out_dtype);
}

}  // namespace e5v::detail
