#pragma once

#include <cstdint>
#include <vector>

// The inner loops of resize(); not for use outside this folder.

namespace e5v::detail {

/// Bits behind the point of a weight: 8 are left for the pixel and 2 for sums beyond [0, 255].
constexpr int kWeightBits = 32 - 8 - 2;

/// For each output position the input positions it is made of, and their weights.
struct ResampleWeights {
  struct Window {
    int32_t first;       ///< first input position
    int32_t count;       ///< input positions
    int64_t weights_at;  ///< of the first one in `weights`; room for an even count
  };
  std::vector<Window> windows;
  std::vector<int32_t> weights;  ///< fixed-point, kWeightBits; 0 where a count was made even
};

/// Resamples one row of `width` RGB pixels to windows.size() pixels.
/// All read only within the row.
void resample_row_generic(const uint8_t* row, int64_t width, const ResampleWeights& weights,
                          uint8_t* out);

/// Blends window.count rows of `size` bytes, `stride` apart, from `rows` (the first of them) to
/// one.
void blend_rows_generic(const uint8_t* rows, int64_t stride, int64_t size, const int32_t* weights,
                        int64_t count, uint8_t* out);

/// The same results with the instructions that this processor surely has (SSE2 on x86-64; the
/// generic loops elsewhere).
void resample_row(const uint8_t* row, int64_t width, const ResampleWeights& weights, uint8_t* out);
void blend_rows(const uint8_t* rows, int64_t stride, int64_t size, const int32_t* weights,
                int64_t count, uint8_t* out);

}  // namespace e5v::detail
