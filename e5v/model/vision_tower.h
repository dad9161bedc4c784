#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "e5v/model/config.h"
#include "e5v/nn/fused_linear.h"
#include "e5v/nn/norm.h"

namespace e5v {

/// One pre-norm transformer layer of CLIP.
class ClipEncoderLayer {
 public:
  explicit ClipEncoderLayer(const VisionConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// hidden_states [sum of lengths, D] fp32, sequences end to end (`cu_seqlens` [B + 1] int32,
  /// CPU), attending in both directions. Overwrites `hidden_states` where no gradient is recorded.
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& cu_seqlens,
                     at::ScalarType compute_dtype) const;

 private:
  int64_t num_heads_;
  Activation activation_;
  LayerNorm layer_norm1_, layer_norm2_;
  FusedLinear qkv_proj_;  // q_proj, k_proj, v_proj
  Linear out_proj_, fc1_, fc2_;
};

/// CLIP's ViT as LLaVA uses it: the hidden states of layer `vision_feature_layer` (-2), class token
/// dropped unless the config keeps it, no final norm. Layers after the chosen one are not even
/// loaded.
///
/// Shapes: N tiles, S image_size (336), P features a tile (576; 577 with the class token),
/// D hidden_size (1024).
///
/// `forward` may run concurrently once the parameters are loaded.
class VisionTower {
 public:
  explicit VisionTower(const LlavaConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// pixel_values [N, 3, S, S] fp32, normalised -> [N, P, D] fp32, patches in raster order.
  /// Throws InputError if the shape differs.
  at::Tensor forward(const at::Tensor& pixel_values, at::ScalarType compute_dtype) const;

 private:
  at::Tensor embed_patches(const at::Tensor& pixel_values, at::ScalarType compute_dtype) const;

  VisionConfig config_;
  bool keep_class_token_;
  int64_t num_unused_layers_;
  at::Tensor class_embedding_;     // [D]
  Linear patch_embedding_;         // a convolution whose stride is its size: a product of patches
  at::Tensor position_embedding_;  // [1 + patches, D]
  LayerNorm pre_layrnorm_;         // sic: the checkpoint's spelling
  std::vector<ClipEncoderLayer> layers_;
};

}  // namespace e5v
