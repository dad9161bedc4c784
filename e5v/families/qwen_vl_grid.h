#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "e5v/model/packed_batch.h"
#include "e5v/model/picture_rules.h"
#include "e5v/nn/rotary.h"

namespace e5v::detail {

/// Where the patches of Qwen-VL's pictures are. A picture of any size is one grid of patches; a
/// cell, `merge_size` x `merge_size` of them, becomes one token. Rows of pixel_values go cell by
/// cell, row-major, and inside a cell patch by patch.
///
/// N patches of all pictures of a batch.
struct PatchCoordinates {
  at::Tensor y, x;           ///< [N] int64: of each row, in its own picture
  at::Tensor height, width;  ///< [N] int64: of that picture's grid
  at::Tensor cu_seqlens;     ///< [pictures + 1] int32, CPU: the rows of each picture
};

/// Throws InputError if a picture has no grid, or one that is not made of whole cells, or other
/// numbers of rows than its grid.
PatchCoordinates patch_coordinates(const std::vector<ImageSpan>& images, int64_t merge_size);

/// The tower's rotary tables: the first half of the angles turns by y, the second by x, each with
/// the frequencies of half a head.
RotaryEmbedding::Tables axial_rotary(const PatchCoordinates& patches, int64_t head_dim,
                                     double theta);

/// Position ids of an item's tokens on three axes, time, height and width: [3][tokens]. A text
/// token has one number on all and counts on by one. The cells of a picture have its first number
/// in time, and that plus their row and column; behind it counting goes on past its longer side.
/// Empty without pictures: 0, 1, 2 … on every axis.
std::vector<int64_t> mrope_position_ids(std::span<const int64_t> input_ids,
                                        std::span<const PreparedPicture> pictures,
                                        int64_t merge_size);

}  // namespace e5v::detail
