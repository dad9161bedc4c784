#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

#include "e5v/model/encoder_layer.h"
#include "e5v/model/vision_tower.h"
#include "e5v/nn/norm.h"

namespace e5v::detail {

/// In what the ViTs of CLIP, SigLIP and others differ: names in checkpoints, and what there is.
struct VitStyle {
  std::string class_embedding;                 ///< empty: there is no class token
  std::vector<int64_t> class_embedding_shape;  ///< before the width
  std::string patch_embedding;
  bool patch_bias = false;
  std::string position_embedding;
  std::vector<int64_t> position_embedding_shape;  ///< before the number of positions and the width
  std::string pre_norm;                           ///< of the embeddings; empty: none
  std::string layers;
  EncoderLayerNames layer;
  std::string final_norm;           ///< which features do not pass
  std::vector<std::string> unused;  ///< other names in checkpoints; see ParameterVisitor::unused
};

/// A vision transformer (Dosovitskiy et al. 2021): patches, a class token where there is one,
/// learned positions, pre-norm layers.
class Vit final : public VisionTower {
 public:
  Vit(VitStyle style, const VisionConfig& config, const VisionFeatures& features);

  void visit_parameters(ParameterVisitor& visitor) override;
  void visit_unneeded_parameters(ParameterVisitor& visitor) override;
  at::Tensor forward(const at::Tensor& pixel_values, at::ScalarType compute_dtype) const override;

 private:
  bool has_class_token() const { return !style_.class_embedding.empty(); }
  int64_t num_positions() const { return config_.num_patches() + (has_class_token() ? 1 : 0); }
  at::Tensor embed_patches(const at::Tensor& pixel_values, at::ScalarType compute_dtype) const;

  VitStyle style_;
  VisionConfig config_;
  VisionFeatures features_;
  at::Tensor class_embedding_;     // [D]
  Linear patch_embedding_;         // a convolution whose stride is its size: a product of patches
  at::Tensor position_embedding_;  // [positions, D]
  std::optional<LayerNorm> pre_norm_;
  LayerNorm final_norm_;  // described only
  std::vector<EncoderLayer> layers_;
};

}  // namespace e5v::detail
