#include "e5v/families/qwen3_vl_tower.h"

#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr double kLayerNormEps = 1e-6;  // fixed in the reference's code

EncoderLayerConfig block_config(const Qwen3VlVisionConfig& config) {
  EncoderLayerNames names;
  names.norm1 = "norm1";
  names.attention = "attn";
  names.query_key_value = "qkv";
  names.attention_output = "attn.proj";
  names.norm2 = "norm2";
  names.fc1 = "mlp.linear_fc1";
  names.fc2 = "mlp.linear_fc2";
  return {.hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_attention_heads = config.num_heads,
          .hidden_act = config.hidden_act,
          .layer_norm_eps = kLayerNormEps,
          .names = std::move(names)};
}

/// A patch's place along one axis of the table: between two rows (or columns) of it.
struct AxisTaps {
  at::Tensor low, high;  // [N] int64
  at::Tensor fraction;   // [N, 1] fp32: how much of `high`
};

/// `places` [N] of `sizes` [N] patches on `side` rows: first on first, last on last.
AxisTaps axis_taps(const at::Tensor& places, const at::Tensor& sizes, int64_t side) {
  const at::Tensor at_row =
      places.to(at::kFloat) * static_cast<float>(side - 1) / (sizes - 1).clamp_min(1);
  const at::Tensor low = at_row.to(at::kLong);
  return {low, (low + 1).clamp_max(side - 1), (at_row - low).unsqueeze(1)};
}

}  // namespace

Qwen3VlPatchMerger::Qwen3VlPatchMerger(const Qwen3VlVisionConfig& config, bool joins_first)
    : joined_size_(config.hidden_size * config.patches_per_cell()),
      joins_first_(joins_first),
      norm_(joins_first ? joined_size_ : config.hidden_size, kLayerNormEps),
      linear_fc1_(joined_size_, joined_size_, true),
      linear_fc2_(joined_size_, config.out_hidden_size, true) {}

void Qwen3VlPatchMerger::visit_parameters(ParameterVisitor& visitor) {
  visitor.module("norm", norm_);
  visitor.linear(visitor.full_name("linear_fc1"), linear_fc1_);
  visitor.linear(visitor.full_name("linear_fc2"), linear_fc2_);
}

at::Tensor Qwen3VlPatchMerger::forward(const at::Tensor& hidden_states,
                                       at::ScalarType compute_dtype) const {
  const at::Tensor states = joins_first_ ? hidden_states.view({-1, joined_size_}) : hidden_states;
  const at::Tensor joined = norm_.forward(states, compute_dtype).view({-1, joined_size_});
  const at::Tensor inner = activate(linear_fc1_.forward(joined, compute_dtype), Activation::kGelu);
  return linear_fc2_.forward(inner);
}

Qwen3VlTower::Qwen3VlTower(const Qwen3VlVisionConfig& config)
    : config_(config),
      patch_embed_(config.patch_values(), config.hidden_size, true),
      merger_(config, false) {
  const int64_t p = config.patch_size;
  patch_embed_.set_checkpoint_shape({config.hidden_size, 3, config.temporal_patch_size, p, p});
  for (int64_t i = 0; i < config.depth; ++i) blocks_.emplace_back(block_config(config));
  for (size_t i = 0; i < config.deepstack_visual_indexes.size(); ++i) {
    deepstack_merger_list_.emplace_back(config, true);
  }
}

void Qwen3VlTower::visit_parameters(ParameterVisitor& visitor) {
  visitor.linear(visitor.full_name("patch_embed.proj"), patch_embed_);
  visitor.tensor(visitor.full_name("pos_embed.weight"), pos_embed_,
                 {config_.num_position_embeddings, config_.hidden_size});
  visitor.modules("blocks", blocks_);
  visitor.module("merger", merger_);
  visitor.modules("deepstack_merger_list", deepstack_merger_list_);
}

at::Tensor Qwen3VlTower::interpolated_positions(const PatchCoordinates& patches) const {
  const int64_t side = config_.positions_per_side();
  const AxisTaps rows = axis_taps(patches.y, patches.height, side);
  const AxisTaps columns = axis_taps(patches.x, patches.width, side);
  const auto table = [&](const at::Tensor& row, const at::Tensor& column) {
    return pos_embed_.index_select(0, (row * side + column).to(pos_embed_.device()));
  };
  const at::Tensor dy = rows.fraction.to(pos_embed_.device());
  const at::Tensor dx = columns.fraction.to(pos_embed_.device());
  return table(rows.low, columns.low) * ((1 - dy) * (1 - dx)) +
         table(rows.low, columns.high) * ((1 - dy) * dx) +
         table(rows.high, columns.low) * (dy * (1 - dx)) +
         table(rows.high, columns.high) * (dy * dx);
}

Qwen3VlFeatures Qwen3VlTower::forward(const at::Tensor& pixel_values,
                                      const std::vector<ImageSpan>& images,
                                      at::ScalarType compute_dtype,
                                      const Observer& observer) const {
  const PatchCoordinates patches = patch_coordinates(images, config_.spatial_merge_size);
  const int64_t N = patches.y.size(0);
  if (pixel_values.dim() != 2 || pixel_values.size(0) != N ||
      pixel_values.size(1) != config_.patch_values()) {
    throw InputError(fmt::format("pixel_values must be [{}, {}]", N, config_.patch_values()));
  }
  RotaryEmbedding::Tables rotary = axial_rotary(patches, config_.head_dim(), config_.rope_theta);
  rotary = {rotary.cos.to(pixel_values.device()), rotary.sin.to(pixel_values.device())};
  at::Tensor x = patch_embed_.forward(pixel_values.to(compute_dtype));  // [N, D]
  x = x + interpolated_positions(patches);
  if (observer) observer(0, x);
  Qwen3VlFeatures result;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    x = blocks_[i].forward(x, patches.cu_seqlens, compute_dtype, &rotary);
    if (observer) observer(static_cast<int64_t>(i) + 1, x);
    const size_t next = result.deepstack.size();
    if (next < deepstack_merger_list_.size() &&
        config_.deepstack_visual_indexes[next] == static_cast<int64_t>(i)) {
      result.deepstack.push_back(deepstack_merger_list_[next].forward(x, compute_dtype));
    }
  }
  result.features = merger_.forward(x, compute_dtype);
  return result;
}

}  // namespace e5v::detail
