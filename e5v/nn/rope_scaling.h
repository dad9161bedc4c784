#pragma once

#include <cstdint>
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

}  // namespace e5v::detail
