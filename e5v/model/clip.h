#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "e5v/checkpoint/weight_names.h"
#include "e5v/model/clip_config.h"
#include "e5v/model/encoder_layer.h"
#include "e5v/model/load_parameters.h"
#include "e5v/model/vision_tower.h"

namespace e5v::detail {

/// Texts of a batch for CLIP, end to end, without padding.
///
/// Shapes: T tokens in all, B texts, W pseudo-words.
struct ClipTextBatch {
  at::Tensor input_ids;   ///< [T] int64; kPseudoWord where a row of `pseudo_words` stands
  at::Tensor cu_seqlens;  ///< [B + 1] int32, CPU
  /// Token embeddings that are no row of the table, in the order of their places: [W, D] fp32, D
  /// the text tower's hidden_size. Undefined = none.
  at::Tensor pseudo_words;

  static constexpr int64_t kPseudoWord = -1;

  /// Texts given as ids, e.g. of ClipTokenizer.
  static ClipTextBatch of(const std::vector<std::vector<int64_t>>& texts);
};

/// CLIP (Radford et al. 2021): a text tower and an image tower with a common space, as
/// transformers' CLIPModel. Differentiable where its parameters ask for gradients.
///
/// Shapes: P projection_dim, S image_size.
///
/// `encode_*` may run concurrently once the parameters are loaded.
class Clip {
 public:
  /// Describes the model; its parameters have no memory until loaded.
  explicit Clip(const ClipConfig& config);

  const ClipConfig& config() const { return config_; }
  void visit_parameters(ParameterVisitor& visitor);

  void set_compute_dtype(at::ScalarType dtype) { compute_dtype_ = dtype; }
  at::ScalarType compute_dtype() const { return compute_dtype_; }
  void set_device(at::Device device) { device_ = device; }
  at::Device device() const { return device_; }

  /// Projected state of each text's end token, not normalised: [B, P] fp32, on the model's device.
  /// Throws InputError for a text that is empty or longer than max_position_embeddings, an id
  /// outside the vocabulary, or places of pseudo-words that are not as many as these.
  at::Tensor encode_text(const ClipTextBatch& batch) const;

  /// pixel_values [N, 3, S, S] fp32, normalised -> projected class token, not normalised: [N, P]
  /// fp32, on the model's device. Throws InputError if the shape differs.
  at::Tensor encode_images(const at::Tensor& pixel_values) const;

  /// The learned inverse temperature's logarithm, a scalar.
  const at::Tensor& logit_scale() const { return logit_scale_; }

 private:
  at::Tensor embed_text(const ClipTextBatch& batch) const;
  /// Index into all tokens of each text's end token, [B] int64.
  at::Tensor end_token_index(const ClipTextBatch& batch) const;

  ClipConfig config_;
  at::ScalarType compute_dtype_ = at::kFloat;
  at::Device device_ = at::kCPU;
  at::Tensor token_embedding_;     // [vocab_size, D]
  at::Tensor position_embedding_;  // [max_position_embeddings, D]
  std::vector<EncoderLayer> text_layers_;
  LayerNorm final_layer_norm_;
  std::unique_ptr<VisionTower> vision_tower_;
  LayerNorm post_layernorm_;
  Linear text_projection_, visual_projection_;
  at::Tensor logit_scale_;
};

/// What checkpoints of CLIP call its weights.
const WeightNames& clip_weight_names();

/// Loads a CLIP folder (config.json and safetensors; an adapter is not supported). Throws as
/// load_model.
std::unique_ptr<Clip> load_clip(const std::filesystem::path& model_dir,
                                const LoadOptions& options = {});

}  // namespace e5v::detail
