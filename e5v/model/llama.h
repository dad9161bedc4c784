#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <optional>
#include <vector>

#include "e5v/model/text_config.h"
#include "e5v/nn/gated_mlp.h"
#include "e5v/nn/norm.h"
#include "e5v/nn/rotary.h"

namespace e5v::detail {

/// Features that are added to the states of some tokens behind the first layers, a tensor a layer
/// (DeepStack, Meng et al. 2024).
///
/// R tokens, D hidden_size.
struct DeepStack {
  at::Tensor rows;                   ///< [R] int64, on the device
  std::vector<at::Tensor> features;  ///< of layers 0, 1, 2 …: [R, D] fp32
};

/// What the layers of one forward pass share.
struct LlamaContext {
  at::Tensor cu_seqlens;                      ///< [B + 1] int32, CPU
  at::Tensor last_token_index;                ///< [B] int64, rows of the last tokens, on the device
  RotaryEmbedding::Tables rotary;             ///< for all T tokens
  at::ScalarType compute_dtype = at::kFloat;  ///< of the operands of matrix products
};

/// One decoder layer: x + attention(norm(x)), then x + mlp(norm(x)).
class LlamaDecoderLayer {
 public:
  explicit LlamaDecoderLayer(const TextConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// hidden_states [T, D] fp32 -> [T, D], or [B, D] with `last_tokens_only`: keys and values run
  /// over all tokens, everything else over the last of each sequence. Overwrites `hidden_states`
  /// where no gradient is recorded.
  at::Tensor forward(const at::Tensor& hidden_states, const LlamaContext& context,
                     bool last_tokens_only) const;

 private:
  int64_t num_heads_, num_key_value_heads_, head_dim_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
  std::optional<RMSNorm> q_norm_, k_norm_;
  FusedLinear qkv_proj_;  // q_proj, k_proj, v_proj
  Linear o_proj_;
  GatedMlp mlp_;
};

/// The decoder of a Llama-shaped language model (llama, mistral, qwen2, qwen3_vl_text), without its
/// head.
///
/// Shapes: T tokens in all, B sequences, D hidden_size.
///
/// `forward` may run concurrently once the parameters are loaded.
class Llama {
 public:
  explicit Llama(const TextConfig& config);

  void visit_parameters(ParameterVisitor& visitor);

  /// Rows of the embedding table: ids [T] int64 -> [T, D] fp32. Throws InputError if an id is
  /// outside the table.
  at::Tensor embed_tokens(const at::Tensor& ids) const;

  /// Where gradients are recorded, keep only the layers' inputs and compute each layer again when
  /// its gradient is due.
  void set_recompute_layers(bool recompute) { recompute_layers_ = recompute; }

  /// The states of the tokens at `rows` [R] int64, after the final norm: [R, D] fp32. Every layer
  /// computes every token; what else is as in `forward`.
  at::Tensor forward_tokens(const at::Tensor& inputs_embeds, const at::Tensor& position_ids,
                            const at::Tensor& cu_seqlens, at::ScalarType compute_dtype,
                            const at::Tensor& rows, const DeepStack& deepstack = {}) const;

  /// Called with (layer, hidden states) after each layer and what is added behind it, 0 being the
  /// embeddings.
  using Observer = std::function<void(int64_t layer, const at::Tensor& hidden_states)>;

  /// The last token's state of each sequence, after the final norm: [B, D] fp32.
  ///   inputs_embeds  [T, D] fp32, overwritten where no gradient is recorded
  ///   position_ids   [T] int64, or [axes, T] of a multimodal rope
  ///   cu_seqlens     [B + 1] int32, CPU, no empty sequence
  /// With an `observer` every layer computes every token.
  at::Tensor forward(const at::Tensor& inputs_embeds, const at::Tensor& position_ids,
                     const at::Tensor& cu_seqlens, at::ScalarType compute_dtype,
                     const Observer& observer = nullptr, const DeepStack& deepstack = {}) const;

 private:
  /// The states after the last layer, of the last tokens only or of all. Throws InputError if there
  /// are more DeepStack features than layers.
  at::Tensor run_layers(const at::Tensor& inputs_embeds, const at::Tensor& position_ids,
                        const at::Tensor& cu_seqlens, at::ScalarType compute_dtype,
                        bool last_tokens_only, const Observer& observer,
                        const DeepStack& deepstack) const;

  TextConfig config_;
  RotaryEmbedding rotary_;
  at::Tensor embed_tokens_;  // [rows, D], in the checkpoint's dtype and number of rows
  std::vector<LlamaDecoderLayer> layers_;
  RMSNorm norm_;
  bool recompute_layers_ = false;
};

}  // namespace e5v::detail
