#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "e5v/nn/rope_scaling.h"

namespace e5v::detail {

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
