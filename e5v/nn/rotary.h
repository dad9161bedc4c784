#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

namespace e5v::detail {

/// `rope_scaling` of a config.json; the two kinds that models of this family use.
struct RopeScaling {
  enum class Kind { kLinear, kLlama3 };
  Kind kind = Kind::kLinear;
  double factor = 1;
  // Kind::kLlama3 only:
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;
};

/// M-RoPE (Wang et al. 2024, Qwen2-VL): tokens have a position on each of several axes (time,
/// height, width), and each frequency is turned by the position on one of them.
struct MultimodalRope {
  /// `mrope_section`: frequencies of each axis; Dh / 2 in all.
  std::vector<int64_t> sections;
  /// Axes take turns, frequency by frequency (Qwen3-VL); else section follows section (Qwen2-VL).
  bool interleaved = false;

  /// The axis of each frequency, [Dh / 2].
  std::vector<int64_t> axes() const;
};

/// Rotary position embedding (Su et al. 2021) in the "rotate half" form of Llama checkpoints:
/// dimension i is paired with i + Dh / 2.
class RotaryEmbedding {
 public:
  RotaryEmbedding() = default;
  RotaryEmbedding(int64_t head_dim, double theta, const std::optional<RopeScaling>& scaling,
                  const std::optional<MultimodalRope>& multimodal = std::nullopt);

  /// cos and sin of every angle of a batch.
  struct Tables {
    at::Tensor cos, sin;  // [T, Dh / 2] fp32
  };

  /// positions [T] int64, or [axes, T] for a multimodal rope, from 0 on, on the device that the
  /// tables shall be on. One axis stands for equal positions on all. Throws InputError for another
  /// number of axes.
  Tables tables(const at::Tensor& positions) const;

  const at::Tensor& inverse_frequencies() const { return inverse_frequencies_; }

 private:
  at::Tensor inverse_frequencies_;  // [Dh / 2] fp32
  int64_t num_axes_ = 1;
  at::Tensor axes_;  // [Dh / 2] int64; undefined: one axis
};

/// Rotates each head of x [T, H, Dh] (any floating dtype; computed in fp32) by the angle of its
/// token. Returns the same shape and dtype; overwrites `x` where no gradient is recorded.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryEmbedding::Tables& tables);

}  // namespace e5v::detail
