#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>

#include "e5v/model/load_parameters.h"
#include "e5v/nn/keyed_dropout.h"
#include "e5v/nn/linear.h"

namespace e5v::detail {

/// The textual inversion network φ of SEARLE (Baldrati et al. 2023): a picture's CLIP features to
/// the embedding of a pseudo-word that stands for it in a text. Three linear layers with GELU
/// between; the published weights' names, `layers.0`, `layers.3`, `layers.6`.
///
/// Shapes: P CLIP's projection_dim, H hidden_size (4 P in the published ones), D the text tower's
/// hidden_size.
class SearlePhi {
 public:
  SearlePhi(int64_t projection_dim, int64_t hidden_size, int64_t text_hidden_size);

  void visit_parameters(ParameterVisitor& visitor);

  /// Unnormalised image features [N, P] fp32 -> pseudo-words [N, D] fp32. Of the inner layers'
  /// outputs `dropout` (null: nothing) drops what it has been told to for N rows; differentiable.
  at::Tensor forward(const at::Tensor& features, const KeyedDropout* dropout = nullptr) const;

 private:
  Linear layer_0_, layer_3_, layer_6_;
};

/// Loads a .safetensors file of φ for a CLIP of these widths; the hidden size is the file's. Throws
/// FileError, and FormatError where a weight is missing or of another shape.
std::unique_ptr<SearlePhi> load_searle_phi(const std::filesystem::path& path,
                                           int64_t projection_dim, int64_t text_hidden_size,
                                           const LoadOptions& options = {});

}  // namespace e5v::detail
