#include "e5v/model/encoder_layer.h"

#include "e5v/nn/packed_attention.h"

namespace e5v::detail {
namespace {

std::vector<FusedLinear::Part> projections(const EncoderLayerConfig& config) {
  const EncoderLayerNames& names = config.names;
  const int64_t D = config.hidden_size;
  if (!names.query_key_value.empty()) return {{names.query_key_value, 3 * D}};
  return {{names.query, D}, {names.key, D}, {names.value, D}};
}

}  // namespace

EncoderLayer::EncoderLayer(const EncoderLayerConfig& config)
    : names_(config.names),
      num_heads_(config.num_attention_heads),
      causal_(config.causal),
      activation_(config.hidden_act),
      layer_norm1_(config.hidden_size, config.layer_norm_eps),
      layer_norm2_(config.hidden_size, config.layer_norm_eps),
      qkv_proj_(config.hidden_size, projections(config), config.qkv_bias),
      out_proj_(config.hidden_size, config.hidden_size, true),
      fc1_(config.hidden_size, config.intermediate_size, true),
      fc2_(config.intermediate_size, config.hidden_size, true) {}

void EncoderLayer::visit_parameters(ParameterVisitor& visitor) {
  visitor.module(names_.norm1, layer_norm1_);
  visitor.module(names_.attention, qkv_proj_);
  visitor.linear(visitor.full_name(names_.attention_output), out_proj_);
  visitor.module(names_.norm2, layer_norm2_);
  visitor.linear(visitor.full_name(names_.fc1), fc1_);
  visitor.linear(visitor.full_name(names_.fc2), fc2_);
}

at::Tensor EncoderLayer::forward(const at::Tensor& hidden_states, const at::Tensor& cu_seqlens,
                                 at::ScalarType compute_dtype,
                                 const RotaryEmbedding::Tables* rotary) const {
  const int64_t T = hidden_states.size(0), D = hidden_states.size(1), Dh = D / num_heads_;
  const at::Tensor qkv =
      qkv_proj_.forward(layer_norm1_.forward(hidden_states, compute_dtype), compute_dtype)
          .view({T, 3, num_heads_, Dh});
  at::Tensor q_and_k = qkv.narrow(1, 0, 2);
  if (rotary != nullptr) {
    q_and_k =
        apply_rotary(q_and_k.view({T, 2 * num_heads_, Dh}), *rotary).view({T, 2, num_heads_, Dh});
  }
  const PackedAttentionOptions options{
      .causal = causal_, .product_dtype = compute_dtype, .out_dtype = compute_dtype};
  const at::Tensor attended = packed_attention(q_and_k.select(1, 0), q_and_k.select(1, 1),
                                               qkv.select(1, 2), cu_seqlens, cu_seqlens, options);
  const at::Tensor x = out_proj_.add_to(hidden_states, attended);
  const at::Tensor inner = fc1_.forward(layer_norm2_.forward(x, compute_dtype), compute_dtype);
  return fc2_.add_to(x, activate(inner, activation_));
}

}  // namespace e5v::detail
