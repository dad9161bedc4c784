#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/model/vision_config.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {

/// The encoder of pictures in front of a language model: the hidden states of one of its layers, no
/// final norm. Layers after that one are not even loaded.
///
/// Shapes: N tiles, S image_size, P features a tile, D hidden_size.
///
/// `forward` may run concurrently once the parameters are loaded.
class VisionTower {
 public:
  virtual ~VisionTower() = default;

  virtual void visit_parameters(ParameterVisitor& visitor) = 0;
  /// What checkpoints hold beside them that no state before the final norm needs.
  virtual void visit_unneeded_parameters(ParameterVisitor& visitor) = 0;

  /// pixel_values [N, 3, S, S] fp32, normalised -> [N, P, D] fp32, patches in raster order.
  /// Throws InputError if the shape differs.
  virtual at::Tensor forward(const at::Tensor& pixel_values,
                             at::ScalarType compute_dtype) const = 0;
};

/// Which of a tower's states are wanted.
struct VisionFeatures {
  int64_t num_layers = 0;  ///< that run; the states of the last one are the features
  bool keep_class_token = false;
};

/// A tower by the `model_type` of its `vision_config`: a file of towers/.
struct VisionTowerKind {
  std::string_view title;  ///< for people
  /// What published checkpoints have between the family's name of its tower and the tower's own
  /// names: "vision_model." or nothing.
  std::string_view prefix;
  bool has_class_token = false;
  /// Whether patches that do not fit into the picture are left out; else it is an error.
  bool drops_partial_patches = false;
  /// Of `vision_config`, by transformers; its `model_type` is the kind's name.
  VisionConfig defaults;
  std::unique_ptr<VisionTower> (*make)(const VisionConfig& config, const VisionFeatures& features);
};

/// Throws ConfigError that lists the known ones for another `model_type`.
const VisionTowerKind& vision_tower_kind(std::string_view model_type);

/// The tower that `config` describes; its parameters have no memory until loaded.
std::unique_ptr<VisionTower> make_vision_tower(const VisionConfig& config,
                                               const VisionFeatures& features);

}  // namespace e5v::detail
