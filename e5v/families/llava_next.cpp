#include "e5v/families/llava_next.h"

#include <fmt/format.h>

#include "e5v/model/splice.h"

namespace e5v::detail {
namespace {

/// Rows of the table "all tile features, then the newline" that one image puts into the text.
std::vector<int64_t> feature_sources(const ImageSpan& image, int64_t features_per_tile,
                                     int64_t newline_row) {
  std::vector<int64_t> sources;
  const int64_t base = image.first_row * features_per_tile;
  for (int64_t i = 0; i < features_per_tile; ++i) sources.push_back(base + i);
  if (!image.layout.anyres) return sources;
  const AnyresLayout& layout = *image.layout.anyres;
  const int64_t side = layout.patches_per_side;
  for (int64_t row = layout.first_row; row < layout.first_row + layout.kept_rows; ++row) {
    for (int64_t col = layout.first_column; col < layout.first_column + layout.kept_columns;
         ++col) {
      const int64_t tile = 1 + (row / side) * layout.grid_width + col / side;
      sources.push_back(base + tile * features_per_tile + (row % side) * side + col % side);
    }
    sources.push_back(newline_row);
  }
  return sources;
}

/// "vision_tower" and what the tower's own names stand behind in published checkpoints.
std::string tower_module(const LlavaConfig& config) {
  std::string name = fmt::format("vision_tower.{}", config.vision_tower_kind().prefix);
  name.pop_back();  // the dot
  return name;
}

/// A tower's parameters that are not needed, as a module.
struct Unneeded {
  VisionTower& tower;
  void visit_parameters(ParameterVisitor& visitor) const {
    tower.visit_unneeded_parameters(visitor);
  }
};

}  // namespace

MultiModalProjector::MultiModalProjector(const LlavaConfig& config)
    : activation_(config.projector_hidden_act),
      linear_1_(config.vision.hidden_size, config.text.hidden_size,
                config.multimodal_projector_bias),
      linear_2_(config.text.hidden_size, config.text.hidden_size,
                config.multimodal_projector_bias) {}

void MultiModalProjector::visit_parameters(ParameterVisitor& visitor) {
  visitor.linear(visitor.full_name("linear_1"), linear_1_);
  visitor.linear(visitor.full_name("linear_2"), linear_2_);
}

at::Tensor MultiModalProjector::forward(const at::Tensor& features,
                                        at::ScalarType compute_dtype) const {
  const at::Tensor inner = activate(linear_1_.forward(features.to(compute_dtype)), activation_);
  return linear_2_.forward(inner.to(compute_dtype));
}

LlavaNext::LlavaNext(const LlavaConfig& config)
    : config_(config),
      vision_tower_(make_vision_tower(config.vision, config.vision_features())),
      projector_(config),
      language_model_(config.text) {}

void LlavaNext::visit_parameters(ParameterVisitor& visitor) {
  visitor.module(tower_module(config_), *vision_tower_);
  visitor.module("multi_modal_projector", projector_);
  if (config_.kind == LlavaConfig::Kind::kLlavaNext) {
    visitor.tensor("image_newline", image_newline_, {config_.text.hidden_size});
  }
  visitor.module("language_model.model", language_model_);
  visitor.unused("language_model.lm_head.weight");
}

void LlavaNext::visit_unneeded_parameters(ParameterVisitor& visitor) {
  visitor.module(tower_module(config_), Unneeded{*vision_tower_});
  if (!config_.text.tie_word_embeddings) {
    at::Tensor lm_head;
    visitor.tensor("language_model.lm_head.weight", lm_head, {-1, config_.text.hidden_size});
  }
}

at::Tensor LlavaNext::encode_tiles(const at::Tensor& pixel_values) const {
  const at::Tensor features = vision_tower_->forward(pixel_values.to(device()), compute_dtype());
  const at::Tensor projected =
      projector_.forward(features.reshape({-1, features.size(2)}), compute_dtype());
  return projected.view({features.size(0), features.size(1), -1});
}

at::Tensor LlavaNext::pack_image_features(const at::Tensor& tile_features,
                                          const std::vector<ImageSpan>& images) const {
  const int64_t N = tile_features.size(0), P = tile_features.size(1);
  std::vector<int64_t> sources;
  for (const ImageSpan& image : images) {
    const std::vector<int64_t> one = feature_sources(image, P, N * P);
    sources.insert(sources.end(), one.begin(), one.end());
  }
  at::Tensor table = tile_features.flatten(0, 1);  // [N P, D]
  if (image_newline_.defined()) table = at::cat({table, image_newline_.unsqueeze(0)});
  return table.index_select(0, at::tensor(sources, at::kLong).to(table.device()));
}

at::Tensor LlavaNext::splice(const PackedBatch& batch, const at::Tensor& image_features) const {
  return splice_features(language_model_, batch.input_ids.to(device()), image_features);
}

at::Tensor LlavaNext::embed(const PackedBatch& batch) const {
  at::Tensor image_features;
  if (!batch.images.empty()) {
    image_features = pack_image_features(encode_tiles(batch.pixel_values), batch.images);
  }
  return splice(batch, image_features);
}

at::Tensor LlavaNext::forward(const PackedBatch& batch) const {
  return language_model_
      .forward(embed(batch), batch.position_ids.to(device()), batch.cu_seqlens, compute_dtype())
      .to(at::kCPU);
}

at::Tensor LlavaNext::forward_tokens(const PackedBatch& batch, const at::Tensor& rows) const {
  return language_model_
      .forward_tokens(embed(batch), batch.position_ids.to(device()), batch.cu_seqlens,
                      compute_dtype(), rows)
      .to(at::kCPU);
}

}  // namespace e5v::detail
