#include "e5v/model/llama.h"

#include "e5v/base/error.h"
#include "e5v/nn/packed_attention.h"
#include "e5v/nn/recompute.h"

namespace e5v::detail {
namespace {

/// Each head of x [T, H, Dh] (fp32 or the products' type) normalised, in the same type.
at::Tensor normalize_heads(const at::Tensor& x, const RMSNorm& norm) {
  return norm.forward(x.to(at::kFloat).contiguous(), x.scalar_type());
}

}  // namespace

LlamaDecoderLayer::LlamaDecoderLayer(const TextConfig& config)
    : num_heads_(config.num_attention_heads),
      num_key_value_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      input_layernorm_(config.hidden_size, config.rms_norm_eps),
      post_attention_layernorm_(config.hidden_size, config.rms_norm_eps),
      qkv_proj_(config.hidden_size,
                {{"q_proj", config.num_attention_heads * config.head_dim},
                 {"k_proj", config.num_key_value_heads * config.head_dim},
                 {"v_proj", config.num_key_value_heads * config.head_dim}},
                config.qkv_bias),
      o_proj_(config.num_attention_heads * config.head_dim, config.hidden_size, config.output_bias),
      mlp_(config.hidden_size, config.intermediate_size, config.mlp_bias, config.hidden_act) {
  if (config.qk_norm) {
    q_norm_.emplace(config.head_dim, config.rms_norm_eps);
    k_norm_.emplace(config.head_dim, config.rms_norm_eps);
  }
}

void LlamaDecoderLayer::visit_parameters(ParameterVisitor& visitor) {
  visitor.module("input_layernorm", input_layernorm_);
  visitor.module("self_attn", qkv_proj_);
  if (q_norm_) visitor.module("self_attn.q_norm", *q_norm_);
  if (k_norm_) visitor.module("self_attn.k_norm", *k_norm_);
  visitor.linear(visitor.full_name("self_attn.o_proj"), o_proj_);
  visitor.unused(visitor.full_name("self_attn.rotary_emb.inv_freq"));
  visitor.module("post_attention_layernorm", post_attention_layernorm_);
  visitor.module("mlp", mlp_);
}

at::Tensor LlamaDecoderLayer::forward(const at::Tensor& hidden_states, const LlamaContext& context,
                                      bool last_tokens_only) const {
  const int64_t T = hidden_states.size(0), H = num_heads_, Hkv = num_key_value_heads_;
  // For inference in the type that attention multiplies: half the memory to read of bf16.
  const at::ScalarType qkv_dtype = qkv_proj_.is_packed() ? context.compute_dtype : at::kFloat;
  const at::Tensor qkv =
      qkv_proj_.forward(input_layernorm_.forward(hidden_states, context.compute_dtype), qkv_dtype)
          .view({T, H + 2 * Hkv, head_dim_});
  at::Tensor q_and_k = qkv.narrow(1, 0, H + Hkv);
  if (q_norm_) {
    q_and_k = at::cat({normalize_heads(q_and_k.narrow(1, 0, H), *q_norm_),
                       normalize_heads(q_and_k.narrow(1, H, Hkv), *k_norm_)},
                      1);
  }
  const at::Tensor rotated = apply_rotary(q_and_k, context.rotary);
  at::Tensor q = rotated.narrow(1, 0, H);  // [T, H, Dh]
  const at::Tensor k = rotated.narrow(1, H, Hkv), v = qkv.narrow(1, H + Hkv, Hkv);

  at::Tensor x = hidden_states;
  at::Tensor cu_seqlens_q = context.cu_seqlens;
  if (last_tokens_only) {
    q = q.index_select(0, context.last_token_index);  // [B, H, Dh]
    x = x.index_select(0, context.last_token_index);  // [B, D]
    cu_seqlens_q = at::arange(context.cu_seqlens.size(0), at::kInt);
  }
  const PackedAttentionOptions options{
      .causal = true, .product_dtype = context.compute_dtype, .out_dtype = context.compute_dtype};
  x = o_proj_.add_to(x, packed_attention(q, k, v, cu_seqlens_q, context.cu_seqlens, options));
  return mlp_.add_to(x, post_attention_layernorm_.forward(x, context.compute_dtype));
}

Llama::Llama(const TextConfig& config)
    : config_(config),
      rotary_(config.head_dim, config.rope_theta, config.rope_scaling, config.multimodal_rope),
      norm_(config.hidden_size, config.rms_norm_eps) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers_.emplace_back(config);
}

void Llama::visit_parameters(ParameterVisitor& visitor) {
  visitor.tensor(visitor.full_name("embed_tokens.weight"), embed_tokens_,
                 {-1, config_.hidden_size});
  visitor.modules("layers", layers_);
  visitor.module("norm", norm_);
}

at::Tensor Llama::embed_tokens(const at::Tensor& ids) const {
  const bool inside = ids.numel() == 0 || (ids.min().item<int64_t>() >= 0 &&
                                           ids.max().item<int64_t>() < embed_tokens_.size(0));
  if (!inside) {
    throw InputError(
        fmt::format("a token id is outside the model's {} embeddings; does the "
                    "tokenizer belong to another model?",
                    embed_tokens_.size(0)));
  }
  return at::embedding(embed_tokens_, ids).to(at::kFloat);
}

at::Tensor Llama::run_layers(const at::Tensor& inputs_embeds, const at::Tensor& position_ids,
                             const at::Tensor& cu_seqlens, at::ScalarType compute_dtype,
                             bool last_tokens_only, const Observer& observer,
                             const DeepStack& deepstack) const {
  if (deepstack.features.size() > layers_.size()) {
    throw InputError(fmt::format("features are for {} layers, but the model has {}",
                                 deepstack.features.size(), layers_.size()));
  }
  const LlamaContext context{
      .cu_seqlens = cu_seqlens,
      .last_token_index = (cu_seqlens.slice(0, 1).to(at::kLong) - 1).to(inputs_embeds.device()),
      .rotary = rotary_.tables(position_ids),
      .compute_dtype = compute_dtype};
  at::Tensor x = inputs_embeds;  // [T, D]
  if (observer) observer(0, x);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool has_features = i < deepstack.features.size();
    const bool last_only = last_tokens_only && i + 1 == layers_.size() && !has_features;
    const auto layer = [&layer = layers_[i], context, last_only](const at::Tensor& states) {
      return layer.forward(states, context, last_only);
    };
    x = recompute_layers_ ? recompute(layer, x) : layer(x);
    if (has_features) x = x.index_add(0, deepstack.rows, deepstack.features[i]);
    if (observer) observer(static_cast<int64_t>(i) + 1, x);
  }
  return last_tokens_only && x.size(0) != context.last_token_index.size(0)
             ? x.index_select(0, context.last_token_index)
             : x;
}

at::Tensor Llama::forward(const at::Tensor& inputs_embeds, const at::Tensor& position_ids,
                          const at::Tensor& cu_seqlens, at::ScalarType compute_dtype,
                          const Observer& observer, const DeepStack& deepstack) const {
  at::Tensor x = run_layers(inputs_embeds, position_ids, cu_seqlens, compute_dtype, !observer,
                            observer, deepstack);
  if (observer) {
    x = x.index_select(0, (cu_seqlens.slice(0, 1).to(at::kLong) - 1).to(x.device()));
  }
  return norm_.forward(x);  // [B, D]
}

at::Tensor Llama::forward_tokens(const at::Tensor& inputs_embeds, const at::Tensor& position_ids,
                                 const at::Tensor& cu_seqlens, at::ScalarType compute_dtype,
                                 const at::Tensor& rows, const DeepStack& deepstack) const {
  const at::Tensor x =
      run_layers(inputs_embeds, position_ids, cu_seqlens, compute_dtype, false, nullptr, deepstack);
  return norm_.forward(x.index_select(0, rows.to(x.device())));  // [R, D]
}

}  // namespace e5v::detail
