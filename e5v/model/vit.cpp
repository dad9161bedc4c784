#include "e5v/model/vit.h"

#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

std::vector<int64_t> joined(std::vector<int64_t> shape, std::initializer_list<int64_t> rest) {
  shape.insert(shape.end(), rest);
  return shape;
}

}  // namespace

Vit::Vit(VitStyle style, const VisionConfig& config, const VisionFeatures& features)
    : style_(std::move(style)),
      config_(config),
      features_(features),
      patch_embedding_(3 * config.patch_size * config.patch_size, config.hidden_size,
                       style_.patch_bias),
      final_norm_(config.hidden_size, config.layer_norm_eps) {
  if (!style_.pre_norm.empty()) pre_norm_.emplace(config.hidden_size, config.layer_norm_eps);
  for (int64_t i = 0; i < features.num_layers; ++i) {
    layers_.emplace_back(EncoderLayerConfig{.hidden_size = config.hidden_size,
                                            .intermediate_size = config.intermediate_size,
                                            .num_attention_heads = config.num_attention_heads,
                                            .hidden_act = config.hidden_act,
                                            .layer_norm_eps = config.layer_norm_eps,
                                            .qkv_bias = config.qkv_bias,
                                            .names = style_.layer});
  }
  patch_embedding_.set_checkpoint_shape(
      {config.hidden_size, 3, config.patch_size, config.patch_size});
}

void Vit::visit_parameters(ParameterVisitor& visitor) {
  const int64_t D = config_.hidden_size;
  if (has_class_token()) {
    visitor.tensor(visitor.full_name(style_.class_embedding), class_embedding_,
                   joined(style_.class_embedding_shape, {D}));
  }
  visitor.linear(visitor.full_name(style_.patch_embedding), patch_embedding_);
  visitor.tensor(visitor.full_name(style_.position_embedding), position_embedding_,
                 joined(style_.position_embedding_shape, {num_positions(), D}));
  if (pre_norm_) visitor.module(style_.pre_norm, *pre_norm_);
  visitor.modules(style_.layers, layers_);
  for (auto i = static_cast<int64_t>(layers_.size()); i < config_.num_hidden_layers; ++i) {
    visitor.unused(visitor.full_name(fmt::format("{}.{}.", style_.layers, i)));
  }
  visitor.unused(visitor.full_name(style_.final_norm + "."));
  for (const std::string& name : style_.unused) visitor.unused(visitor.full_name(name));
}

void Vit::visit_unneeded_parameters(ParameterVisitor& visitor) {
  visitor.module(style_.final_norm, final_norm_);
}

at::Tensor Vit::embed_patches(const at::Tensor& pixel_values, at::ScalarType compute_dtype) const {
  const int64_t N = pixel_values.size(0), side = config_.patches_per_side(), p = config_.patch_size;
  const at::Tensor patches = pixel_values.narrow(2, 0, side * p)
                                 .narrow(3, 0, side * p)
                                 .reshape({N, 3, side, p, side, p})
                                 .permute({0, 2, 4, 1, 3, 5})
                                 .reshape({N * side * side, 3 * p * p})
                                 .to(compute_dtype);
  at::Tensor x = patch_embedding_.forward(patches).view({N, side * side, config_.hidden_size});
  if (has_class_token()) {
    x = at::cat({class_embedding_.reshape({1, 1, -1}).expand({N, 1, config_.hidden_size}), x}, 1);
  }
  return x + position_embedding_.reshape({num_positions(), -1});  // [N, positions, D]
}

at::Tensor Vit::forward(const at::Tensor& pixel_values, at::ScalarType compute_dtype) const {
  const int64_t S = config_.image_size;
  if (pixel_values.dim() != 4 || pixel_values.sizes().slice(1) != at::IntArrayRef({3, S, S})) {
    throw InputError(fmt::format("pixel_values must be [N, 3, {}, {}]", S, S));
  }
  const int64_t N = pixel_values.size(0), L = num_positions(), D = config_.hidden_size;
  at::Tensor x = embed_patches(pixel_values, compute_dtype);
  if (pre_norm_) x = pre_norm_->forward(x);
  x = x.view({N * L, D});
  const at::Tensor cu_seqlens = at::arange(0, (N + 1) * L, L, at::kInt);
  for (const EncoderLayer& layer : layers_) x = layer.forward(x, cu_seqlens, compute_dtype);
  x = x.view({N, L, D});
  return has_class_token() && !features_.keep_class_token ? x.slice(1, 1) : x;
}

}  // namespace e5v::detail
