#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>

namespace e5v {

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

/// Rotary position embedding (Su et al. 2021) in the "rotate half" form of Llama checkpoints:
/// dimension i is paired with i + Dh / 2.
class RotaryEmbedding {
 public:
  RotaryEmbedding() = default;
  RotaryEmbedding(int64_t head_dim, double theta, const std::optional<RopeScaling>& scaling);

  /// cos and sin of every angle of a batch.
  struct Tables {
    at::Tensor cos, sin;  // [T, Dh / 2] fp32
  };

  /// positions [T] int64, on the device that the tables shall be on.
  Tables tables(const at::Tensor& positions) const;

  const at::Tensor& inverse_frequencies() const { return inverse_frequencies_; }

 private:
  at::Tensor inverse_frequencies_;  // [Dh / 2] fp32
};

/// Rotates each head of x [T, H, Dh] (any floating dtype; computed in fp32) by the angle of its
/// token. Returns the same shape and dtype; overwrites `x` where no gradient is recorded.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryEmbedding::Tables& tables);

}  // namespace e5v
