#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "e5v/model/clip_encoder_layer.h"
#include "e5v/model/config.h"
#include "e5v/nn/norm.h"

namespace e5v {

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
