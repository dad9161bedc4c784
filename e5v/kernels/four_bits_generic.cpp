#include <algorithm>
#include <cmath>

#include "e5v/kernels/four_bits_kernels.h"

namespace e5v::detail {
namespace {

float round_value(float x, float inverse) {
  return std::clamp(std::nearbyint(x * inverse), -8.0f, 7.0f);
}

void round_groups(const float* x, int64_t num_groups, float scale, uint8_t* codes,
                  uint8_t* multipliers) {
  for (int64_t g = 0; g < num_groups; ++g, x += kInt4Group, codes += kInt4Group / 2) {
    float largest = 0;
    for (int64_t i = 0; i < kInt4Group; ++i) largest = std::max(largest, std::abs(x[i]));
    const int middle = int4_multiplier(largest, scale);
    int best = middle;
    float least_error = INFINITY;
    const int last = std::min(middle + kInt4TriedAbove, kInt4LargestMultiplier);
    for (int m = std::max(middle - kInt4TriedBelow, 1); m <= last; ++m) {
      const float step = static_cast<float>(m) * scale, inverse = 1 / step;
      float error = 0;
      for (int64_t i = 0; i < kInt4Group; ++i) {
        const float difference = x[i] - round_value(x[i], inverse) * step;
        error += difference * difference;
      }
      if (error < least_error) {
        least_error = error;
        best = m;
      }
    }
    const float inverse = 1 / (static_cast<float>(best) * scale);
    const auto code = [&](int64_t i) {
      return static_cast<uint8_t>(static_cast<int>(round_value(x[i], inverse)) + 8);
    };
    for (int64_t j = 0; j < kInt4Group / 2; ++j) {
      codes[j] = static_cast<uint8_t>(code(j) | code(kInt4Group / 2 + j) << 4);
    }
    multipliers[g] = static_cast<uint8_t>(best);
  }
}

void unpack_groups(const uint8_t* codes, const uint8_t* multipliers, int64_t num_groups,
                   int8_t* out) {
  constexpr int64_t kHalf = kInt4Group / 2;
  for (int64_t g = 0; g < num_groups; ++g, codes += kHalf, out += kInt4Group) {
    for (int64_t j = 0; j < kHalf; ++j) {
      out[j] = static_cast<int8_t>(((codes[j] & 15) - 8) * (multipliers[g] & 15));
      out[kHalf + j] = static_cast<int8_t>(((codes[j] >> 4) - 8) * (multipliers[g] & 15));
    }
  }
}

void widen_blocks(const uint8_t* codes, const float* scales, const float* values,
                  int64_t num_blocks, BFloat16* out) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    BFloat16 scaled[16];
    for (int v = 0; v < 16; ++v) scaled[v] = to_bfloat16(values[v] * scales[block]);
    for (int64_t i = 0; i < 32; ++i, ++codes, out += 2) {
      out[0] = scaled[*codes >> 4];
      out[1] = scaled[*codes & 15];
    }
  }
}

}  // namespace

const FourBitKernels kGenericFourBits = {round_groups, unpack_groups, widen_blocks};

}  // namespace e5v::detail
