#include "e5v/model/clip_encoder_layer.h"

#include "e5v/nn/packed_attention.h"

namespace e5v {

ClipEncoderLayer::ClipEncoderLayer(const ClipLayerConfig& config)
    : num_heads_(config.num_attention_heads),
      causal_(config.causal),
      activation_(config.hidden_act),
      layer_norm1_(config.hidden_size, config.layer_norm_eps),
      layer_norm2_(config.hidden_size, config.layer_norm_eps),
      qkv_proj_(config.hidden_size,
                {{"q_proj", config.hidden_size},
                 {"k_proj", config.hidden_size},
                 {"v_proj", config.hidden_size}},
                /*has_bias=*/true),
      out_proj_(config.hidden_size, config.hidden_size, true),
      fc1_(config.hidden_size, config.intermediate_size, true),
      fc2_(config.intermediate_size, config.hidden_size, true) {}

void ClipEncoderLayer::visit_parameters(ParameterVisitor& visitor) {
  visitor.module("layer_norm1", layer_norm1_);
  visitor.module("self_attn", qkv_proj_);
  visitor.linear(visitor.full_name("self_attn.out_proj"), out_proj_);
  visitor.module("layer_norm2", layer_norm2_);
  visitor.linear(visitor.full_name("mlp.fc1"), fc1_);
  visitor.linear(visitor.full_name("mlp.fc2"), fc2_);
}

at::Tensor ClipEncoderLayer::forward(const at::Tensor& hidden_states, const at::Tensor& cu_seqlens,
                                     at::ScalarType compute_dtype) const {
  const int64_t T = hidden_states.size(0), D = hidden_states.size(1);
  const at::Tensor qkv =
      qkv_proj_.forward(layer_norm1_.forward(hidden_states, compute_dtype), compute_dtype)
          .view({T, 3, num_heads_, D / num_heads_});
  const PackedAttentionOptions options{
      .causal = causal_, .product_dtype = compute_dtype, .out_dtype = compute_dtype};
  const at::Tensor attended = packed_attention(qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2),
                                               cu_seqlens, cu_seqlens, options);
  const at::Tensor x = out_proj_.add_to(hidden_states, attended);
  const at::Tensor inner = fc1_.forward(layer_norm2_.forward(x, compute_dtype), compute_dtype);
  return fc2_.add_to(x, activate(inner, activation_));
}

}  // namespace e5v
