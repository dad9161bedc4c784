#pragma once

#include <ATen/ATen.h>

#include "e5v/model/llama.h"
#include "e5v/model/packed_batch.h"
#include "e5v/model/vision_tower.h"

namespace e5v {

/// Two linear layers from the tower's width to the language model's.
class MultiModalProjector {
 public:
  explicit MultiModalProjector(const LlavaConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// [rows, vision hidden_size] -> [rows, text hidden_size], fp32.
  at::Tensor forward(const at::Tensor& features, at::ScalarType compute_dtype) const;

 private:
  Activation activation_;
  Linear linear_1_, linear_2_;
};

/// LLaVA-NeXT (AnyRes: a base tile, the tiles of a grid, newlines) and LLaVA-1.5 (one tile):
/// vision tower, projector, language model. The image token is a place to put features, never a row
/// of the embedding table: in published checkpoints its id lies outside.
///
/// Shapes: T tokens in all, B sequences, N tiles of S x S pixels, P features a tile, D the language
/// model's hidden_size.
///
/// `forward` may run concurrently once the parameters are loaded.
class LlavaNext {
 public:
  /// Describes the model; its parameters have no memory until loaded (load_model.h).
  explicit LlavaNext(const LlavaConfig& config);

  const LlavaConfig& config() const { return config_; }

  /// Every parameter by its canonical name (checkpoint_keys.h).
  void visit_parameters(ParameterVisitor& visitor);

  /// Type of the operands of matrix products: fp32, bf16, or fp16 on CUDA.
  void set_compute_dtype(at::ScalarType dtype) { compute_dtype_ = dtype; }
  at::ScalarType compute_dtype() const { return compute_dtype_; }

  /// Where the parameters are.
  void set_device(at::Device device) { device_ = device; }
  at::Device device() const { return device_; }

  /// See Llama::set_recompute_layers.
  void set_recompute_layers(bool recompute) { language_model_.set_recompute_layers(recompute); }

  /// The state of each sequence's last token after the final norm, not normalised: [B, D] fp32 on
  /// the CPU. Tensors of the batch may be on any device. Throws InputError if the batch contradicts
  /// itself (`batch.images` against `pixel_values` and negative ids).
  at::Tensor forward(const PackedBatch& batch) const;

  /// The states of the tokens at `rows` [R] int64 instead: [R, D] fp32. What a language model's
  /// head takes.
  at::Tensor forward_tokens(const PackedBatch& batch, const at::Tensor& rows) const;

  // The stages of `forward`, in order.

  /// pixel_values [N, 3, S, S] -> projected features [N, P, D] fp32.
  at::Tensor encode_tiles(const at::Tensor& pixel_values) const;

  /// The features that stand in the text, image after image: [sum of image tokens, D]. Base tile
  /// first; then, row by row of the stitched and unpadded grid, its features and one newline.
  at::Tensor pack_image_features(const at::Tensor& tile_features,
                                 const std::vector<ImageSpan>& images) const;

  /// Token embeddings with the features in their places: [T, D] fp32.
  at::Tensor splice(const PackedBatch& batch, const at::Tensor& image_features) const;

  const VisionTower& vision_tower() const { return vision_tower_; }
  const MultiModalProjector& projector() const { return projector_; }
  const Llama& language_model() const { return language_model_; }

 private:
  /// Token embeddings with the features of the batch's own pictures.
  at::Tensor embed(const PackedBatch& batch) const;

  LlavaConfig config_;
  at::ScalarType compute_dtype_ = at::kFloat;
  at::Device device_ = at::kCPU;
  VisionTower vision_tower_;
  MultiModalProjector projector_;
  at::Tensor image_newline_;  // [D]; LLaVA-NeXT only
  Llama language_model_;
};

/// Features that `image` puts into the text.
int64_t num_image_tokens(const ImageSpan& image, const LlavaConfig& config);

}  // namespace e5v
