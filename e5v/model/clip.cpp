#include "e5v/model/clip.h"

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/model/precision_forms.h"

namespace e5v::detail {
namespace {

EncoderLayerConfig text_layer(const ClipTextConfig& text) {
  return {.hidden_size = text.hidden_size,
          .intermediate_size = text.intermediate_size,
          .num_attention_heads = text.num_attention_heads,
          .hidden_act = text.hidden_act,
          .layer_norm_eps = text.layer_norm_eps,
          .causal = true};
}

}  // namespace

ClipTextBatch ClipTextBatch::of(const std::vector<std::vector<int64_t>>& texts) {
  std::vector<int64_t> ids;
  std::vector<int32_t> cu_seqlens = {0};
  for (const std::vector<int64_t>& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    cu_seqlens.push_back(static_cast<int32_t>(ids.size()));
  }
  return {.input_ids = at::tensor(ids, at::kLong),
          .cu_seqlens = at::tensor(cu_seqlens, at::kInt),
          .pseudo_words = {}};
}

Clip::Clip(const ClipConfig& config)
    : config_(config),
      final_layer_norm_(config.text.hidden_size, config.text.layer_norm_eps),
      vision_tower_(make_vision_tower(config.vision, {.num_layers = config.vision.num_hidden_layers,
                                                      .keep_class_token = true})),
      post_layernorm_(config.vision.hidden_size, config.vision.layer_norm_eps),
      text_projection_(config.text.hidden_size, config.projection_dim, /*has_bias=*/false),
      visual_projection_(config.vision.hidden_size, config.projection_dim, false) {
  for (int64_t i = 0; i < config.text.num_hidden_layers; ++i) {
    text_layers_.emplace_back(text_layer(config.text));
  }
}

void Clip::visit_parameters(ParameterVisitor& visitor) {
  const int64_t D = config_.text.hidden_size;
  visitor.tensor(visitor.full_name("text_model.embeddings.token_embedding.weight"),
                 token_embedding_, {-1, D});
  visitor.tensor(visitor.full_name("text_model.embeddings.position_embedding.weight"),
                 position_embedding_, {config_.text.max_position_embeddings, D});
  visitor.unused(visitor.full_name("text_model.embeddings.position_ids"));
  visitor.modules("text_model.encoder.layers", text_layers_);
  visitor.module("text_model.final_layer_norm", final_layer_norm_);
  visitor.module("vision_model", *vision_tower_);
  visitor.module("vision_model.post_layernorm", post_layernorm_);
  visitor.linear(visitor.full_name("text_projection"), text_projection_);
  visitor.linear(visitor.full_name("visual_projection"), visual_projection_);
  visitor.tensor(visitor.full_name("logit_scale"), logit_scale_, {});
}

at::Tensor Clip::embed_text(const ClipTextBatch& batch) const {
  const auto* offsets = batch.cu_seqlens.data_ptr<int32_t>();
  const int64_t num_texts = batch.cu_seqlens.size(0) - 1;
  std::vector<int64_t> positions;
  for (int64_t b = 0; b < num_texts; ++b) {
    const int64_t length = offsets[b + 1] - offsets[b];
    if (length < 1 || length > config_.text.max_position_embeddings) {
      throw InputError(fmt::format("a text has {} tokens, expected 1 to {}", length,
                                   config_.text.max_position_embeddings));
    }
    for (int64_t i = 0; i < length; ++i) positions.push_back(i);
  }
  const at::Tensor ids = batch.input_ids.to(device_);
  const bool inside =
      ids.numel() == 0 || (ids.min().item<int64_t>() >= ClipTextBatch::kPseudoWord &&
                           ids.max().item<int64_t>() < token_embedding_.size(0));
  if (!inside) {
    throw InputError(fmt::format(
        "a token id is outside the model's {} embeddings; does the tokenizer belong to another "
        "model?",
        token_embedding_.size(0)));
  }
  at::Tensor embeds = at::embedding(token_embedding_, ids.clamp_min(0)).to(at::kFloat);  // [T, D]
  const at::Tensor places = at::nonzero(ids == ClipTextBatch::kPseudoWord).squeeze(1);
  const int64_t num_words = batch.pseudo_words.defined() ? batch.pseudo_words.size(0) : 0;
  if (places.size(0) != num_words) {
    throw InputError(fmt::format("the texts have {} places for pseudo-words, {} were given",
                                 places.size(0), num_words));
  }
  if (num_words > 0) embeds = embeds.index_copy(0, places, batch.pseudo_words.to(device_));
  return embeds + position_embedding_.index_select(0, at::tensor(positions, at::kLong).to(device_));
}

at::Tensor Clip::end_token_index(const ClipTextBatch& batch) const {
  const at::Tensor ids = batch.input_ids.cpu().contiguous();
  const auto* id = ids.data_ptr<int64_t>();
  const auto* offsets = batch.cu_seqlens.data_ptr<int32_t>();
  const bool takes_largest = config_.text.eos_token_id == 2;
  std::vector<int64_t> index;
  for (int64_t b = 0; b + 1 < batch.cu_seqlens.size(0); ++b) {
    const int64_t *begin = id + offsets[b], *end = id + offsets[b + 1];
    const int64_t* found = takes_largest ? std::max_element(begin, end)
                                         : std::find(begin, end, config_.text.eos_token_id);
    // Without an end token the reference takes the first one, an arg max over zeros.
    index.push_back((found == end ? begin : found) - id);
  }
  return at::tensor(index, at::kLong).to(device_);
}

at::Tensor Clip::encode_text(const ClipTextBatch& batch) const {
  at::Tensor x = embed_text(batch);  // [T, D]
  for (const EncoderLayer& layer : text_layers_) {
    x = layer.forward(x, batch.cu_seqlens, compute_dtype_);
  }
  x = x.index_select(0, end_token_index(batch));  // [B, D]
  return text_projection_.forward(final_layer_norm_.forward(x, compute_dtype_));
}

at::Tensor Clip::encode_images(const at::Tensor& pixel_values) const {
  const at::Tensor states = vision_tower_->forward(pixel_values.to(device_), compute_dtype_);
  const at::Tensor class_token = states.select(1, 0).contiguous();  // [N, vision D]
  return visual_projection_.forward(post_layernorm_.forward(class_token, compute_dtype_));
}

const WeightNames& clip_weight_names() {
  static const WeightNames names = [] {
    WeightNames clip;
    clip.parts = {{"text_model.", PartKind::kTextTower, "text tower"},
                  {"text_projection.", PartKind::kTextTower, "text projection"},
                  {"vision_model.", PartKind::kVisionTower, "vision tower"},
                  {"visual_projection.", PartKind::kVisionTower, "visual projection"}};
    return clip;
  }();
  return names;
}

std::unique_ptr<Clip> load_clip(const std::filesystem::path& model_dir,
                                const LoadOptions& options) {
  auto clip = std::make_unique<Clip>(ClipConfig::load(model_dir));
  const Precision precision = load_parameters(*clip, clip_weight_names(), model_dir, options);
  clip->set_compute_dtype(compute_dtype(precision));
  clip->set_device(options.device);
  return clip;
}

}  // namespace e5v::detail
