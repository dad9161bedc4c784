#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "e5v/families/llava_config.h"
#include "e5v/model/llama.h"
#include "e5v/model/model.h"
#include "e5v/model/vision_tower.h"

namespace e5v::detail {

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

/// LLaVA-NeXT (AnyRes: a base tile, the tiles of a grid, newlines) and LLaVA-1.5 (one tile). The
/// image token is a place to put features, never a row of the embedding table: in published
/// checkpoints its id lies outside.
///
/// Shapes: T tokens in all, B sequences, N tiles of S x S pixels, P features a tile, D the language
/// model's hidden_size.
class LlavaNext final : public Model {
 public:
  /// Describes the model; its parameters have no memory until loaded.
  explicit LlavaNext(const LlavaConfig& config);

  const LlavaConfig& config() const { return config_; }

  void visit_parameters(ParameterVisitor& visitor) override;
  /// What published checkpoints hold beside them: the tower's final norm, the head.
  void visit_unneeded_parameters(ParameterVisitor& visitor);

  void set_recompute_layers(bool recompute) override {
    language_model_.set_recompute_layers(recompute);
  }
  at::Tensor forward(const PackedBatch& batch) const override;
  at::Tensor forward_tokens(const PackedBatch& batch, const at::Tensor& rows) const override;

  // The stages of `forward`, in order.

  /// pixel_values [N, 3, S, S] -> projected features [N, P, D] fp32.
  at::Tensor encode_tiles(const at::Tensor& pixel_values) const;

  /// The features that stand in the text, image after image: [sum of image tokens, D]. Base tile
  /// first; then, row by row of the stitched and unpadded grid, its features and one newline.
  at::Tensor pack_image_features(const at::Tensor& tile_features,
                                 const std::vector<ImageSpan>& images) const;

  /// Token embeddings with the features in their places: [T, D] fp32.
  at::Tensor splice(const PackedBatch& batch, const at::Tensor& image_features) const;

  const VisionTower& vision_tower() const { return *vision_tower_; }
  const MultiModalProjector& projector() const { return projector_; }
  const Llama& language_model() const { return language_model_; }

 private:
  /// Token embeddings with the features of the batch's own pictures.
  at::Tensor embed(const PackedBatch& batch) const;

  LlavaConfig config_;
  std::unique_ptr<VisionTower> vision_tower_;
  MultiModalProjector projector_;
  at::Tensor image_newline_;  // [D]; LLaVA-NeXT only
  Llama language_model_;
};

}  // namespace e5v::detail
