#pragma once

#include <ATen/ATen.h>

#include <string>

#include "e5v/nn/activation.h"
#include "e5v/nn/fused_linear.h"
#include "e5v/nn/norm.h"
#include "e5v/nn/rotary.h"

namespace e5v::detail {

/// What checkpoints call the parts of a pre-norm transformer layer. CLIP's names; SigLIP has the
/// same, ViT others.
struct EncoderLayerNames {
  std::string norm1 = "layer_norm1";
  std::string attention = "self_attn";  ///< before the three projections
  std::string query = "q_proj", key = "k_proj", value = "v_proj";
  std::string query_key_value;  ///< where the three are one matrix: its name
  std::string attention_output = "self_attn.out_proj";
  std::string norm2 = "layer_norm2";
  std::string fc1 = "mlp.fc1", fc2 = "mlp.fc2";
};

struct EncoderLayerConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_attention_heads = 12;
  Activation hidden_act = Activation::kQuickGelu;
  double layer_norm_eps = 1e-5;
  bool qkv_bias = true;
  bool causal = false;  ///< of CLIP's text tower
  EncoderLayerNames names;
};

/// One pre-norm transformer layer, as vision towers and CLIP's text tower consist of.
class EncoderLayer {
 public:
  explicit EncoderLayer(const EncoderLayerConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// hidden_states [sum of lengths, D] fp32, sequences end to end (`cu_seqlens` [B + 1] int32,
  /// CPU). Overwrites `hidden_states` where no gradient is recorded. Queries and keys are turned by
  /// `rotary`, of all tokens, if it is given.
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& cu_seqlens,
                     at::ScalarType compute_dtype,
                     const RotaryEmbedding::Tables* rotary = nullptr) const;

 private:
  EncoderLayerNames names_;
  int64_t num_heads_;
  bool causal_;
  Activation activation_;
  LayerNorm layer_norm1_, layer_norm2_;
  FusedLinear qkv_proj_;
  Linear out_proj_, fc1_, fc2_;
};

}  // namespace e5v::detail
