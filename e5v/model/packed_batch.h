#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "e5v/model/image_layout.h"

namespace e5v::detail {

/// The rows of one image of a packed batch. Images come in the order of their places among the
/// tokens.
struct ImageSpan {
  int64_t first_row = 0;  ///< of pixel_values
  int64_t num_rows = 0;
  ImageLayout layout;
};

/// The input of a model: sequences that lie end to end, without padding.
///
/// T tokens in all, B sequences, N rows of pixels.
struct PackedBatch {
  at::Tensor input_ids;  ///< [T] int64; kImageFeature at the positions of image features
  /// [T] int64, from 0 in each sequence, or [axes, T] for a family whose tokens have several
  at::Tensor position_ids;
  at::Tensor cu_seqlens;  ///< [B + 1] int32, CPU: sequence b is [cu_seqlens[b], cu_seqlens[b + 1])
  /// [N, …] fp32, normalised, as the vision tower takes them (tiles: [N, 3, S, S]); undefined
  /// without images
  at::Tensor pixel_values;
  std::vector<ImageSpan> images;

  int64_t num_sequences() const { return cu_seqlens.size(0) - 1; }
};

}  // namespace e5v::detail
