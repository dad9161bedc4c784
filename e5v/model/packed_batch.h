#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "e5v/image/anyres.h"

namespace e5v {

/// The tiles of one image of a packed batch, and how their features become tokens. Images come in
/// the order of their places among the tokens.
struct ImageSpan {
  int64_t first_tile = 0;  ///< row of pixel_values of its base tile
  int64_t num_tiles = 0;   ///< base tile included
  /// Which features stay after unpadding, and where newlines go; the model's own single-tile form
  /// (LLaVA-1.5) has none: all features of the tile, in order.
  std::optional<AnyresLayout> layout;
};

/// The input of a model: sequences that lie end to end, without padding.
///
/// T tokens in all, B sequences, N tiles of S x S pixels.
struct PackedBatch {
  at::Tensor input_ids;     ///< [T] int64; negative at the positions of image features
  at::Tensor position_ids;  ///< [T] int64, from 0 in each sequence
  at::Tensor cu_seqlens;  ///< [B + 1] int32, CPU: sequence b is [cu_seqlens[b], cu_seqlens[b + 1])
  at::Tensor pixel_values;  ///< [N, 3, S, S] fp32, normalised; undefined without images
  std::vector<ImageSpan> images;

  int64_t num_sequences() const { return cu_seqlens.size(0) - 1; }
};

}  // namespace e5v
