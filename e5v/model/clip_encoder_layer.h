#pragma once

#include <ATen/ATen.h>

#include "e5v/model/config.h"
#include "e5v/nn/fused_linear.h"
#include "e5v/nn/norm.h"

namespace e5v {

/// What a layer of either of CLIP's towers is made by.
struct ClipLayerConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_attention_heads = 12;
  Activation hidden_act = Activation::kQuickGelu;
  double layer_norm_eps = 1e-5;
  bool causal = false;  ///< the text tower's
};

/// One pre-norm transformer layer of CLIP.
class ClipEncoderLayer {
 public:
  explicit ClipEncoderLayer(const ClipLayerConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// hidden_states [sum of lengths, D] fp32, sequences end to end (`cu_seqlens` [B + 1] int32,
  /// CPU). Overwrites `hidden_states` where no gradient is recorded.
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& cu_seqlens,
                     at::ScalarType compute_dtype) const;

 private:
  int64_t num_heads_;
  bool causal_;
  Activation activation_;
  LayerNorm layer_norm1_, layer_norm2_;
  FusedLinear qkv_proj_;  // q_proj, k_proj, v_proj
  Linear out_proj_, fc1_, fc2_;
};

}  // namespace e5v
