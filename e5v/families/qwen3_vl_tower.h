#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "e5v/families/qwen3_vl_config.h"
#include "e5v/families/qwen_vl_grid.h"
#include "e5v/model/encoder_layer.h"

namespace e5v::detail {

/// Joins the patches of a cell and brings them to the language model's width.
class Qwen3VlPatchMerger {
 public:
  /// With `joins_first` the norm is over the joined patches (DeepStack's), else over each.
  Qwen3VlPatchMerger(const Qwen3VlVisionConfig& config, bool joins_first);

  void visit_parameters(ParameterVisitor& visitor);

  /// [N, hidden_size] fp32, cell by cell -> [cells, out_hidden_size] fp32.
  at::Tensor forward(const at::Tensor& hidden_states, at::ScalarType compute_dtype) const;

 private:
  int64_t joined_size_;
  bool joins_first_;
  LayerNorm norm_;
  Linear linear_fc1_, linear_fc2_;
};

/// What the tower makes of pictures.
struct Qwen3VlFeatures {
  at::Tensor features;                ///< [cells, out_hidden_size] fp32, picture after picture
  std::vector<at::Tensor> deepstack;  ///< likewise, for the language model's layers 0, 1, 2 …
};

/// The vision tower of Qwen3-VL: pictures of any size in one pass, each attending to itself;
/// learned positions interpolated to each picture's grid, rotary in two dimensions; a merger at the
/// end, and one behind each layer that feeds DeepStack.
///
/// N patches of all pictures, D hidden_size.
class Qwen3VlTower {
 public:
  explicit Qwen3VlTower(const Qwen3VlVisionConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// Called with (layer, hidden states) after each layer, 0 being the embeddings.
  using Observer = std::function<void(int64_t layer, const at::Tensor& hidden_states)>;

  /// pixel_values [N, patch_values] fp32, the rows of `images` in their order. Throws InputError if
  /// shapes differ.
  Qwen3VlFeatures forward(const at::Tensor& pixel_values, const std::vector<ImageSpan>& images,
                          at::ScalarType compute_dtype, const Observer& observer = nullptr) const;

  /// Learned positions of each patch, [N, D] fp32: the corners of the table lie on the picture's.
  at::Tensor interpolated_positions(const PatchCoordinates& patches) const;

 private:
  Qwen3VlVisionConfig config_;
  Linear patch_embed_;
  at::Tensor pos_embed_;  // [num_position_embeddings, D] fp32
  std::vector<EncoderLayer> blocks_;
  Qwen3VlPatchMerger merger_;
  std::vector<Qwen3VlPatchMerger> deepstack_merger_list_;
};

}  // namespace e5v::detail
