#include "e5v/image/resample_row.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace e5v::detail {
namespace {

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

}  // namespace

void resample_row_generic(const uint8_t* row, int64_t /*width*/, const ResampleWeights& weights,
                          uint8_t* out) {
  for (const ResampleWeights::Window& window : weights.windows) {
    int32_t sums[3] = {kHalf, kHalf, kHalf};
    const uint8_t* pixel = row + int64_t{window.first} * 3;
    const int32_t* weight = &weights.weights[window.weights_at];
    for (int32_t i = 0; i < window.count; ++i, pixel += 3) {
      for (int c = 0; c < 3; ++c) sums[c] += pixel[c] * weight[i];
    }
    for (int c = 0; c < 3; ++c) *out++ = to_byte(sums[c]);
  }
}

void blend_rows_generic(const uint8_t* rows, int64_t stride, int64_t size, const int32_t* weights,
                        int64_t count, uint8_t* out) {
  for (int64_t x = 0; x < size; ++x) {
    int32_t sum = kHalf;
    for (int64_t i = 0; i < count; ++i) sum += rows[i * stride + x] * weights[i];
    out[x] = to_byte(sum);
  }
}

#if defined(__SSE2__)

namespace {

/// A weight has 23 bits and a sign, one operand of SSE2's multiply-add 16. So a weight is split as
/// high * 2^15 + low with 0 <= low < 2^15, both halves are summed apart, and put together at the
/// end. The sum of the low halves may wrap around; the final sum does not, so it comes out right.
constexpr int kLowBits = 15;

/// [w0, w1] of four equal lanes, as the multiply-add of pixel pairs wants them.
struct WeightPair {
  __m128i high;
  __m128i low;

  WeightPair(int32_t first, int32_t second)
      : high(_mm_set1_epi32(pack(first >> kLowBits, second >> kLowBits))),
        low(_mm_set1_epi32(pack(first & kLowMask, second & kLowMask))) {}

 private:
  static constexpr int32_t kLowMask = (1 << kLowBits) - 1;
  static int32_t pack(int32_t first, int32_t second) {
    return static_cast<int32_t>(static_cast<uint32_t>(second) << 16) | (first & 0xffff);
  }
};

struct Sums {
  __m128i high = _mm_setzero_si128();
  __m128i low = _mm_set1_epi32(kHalf);

  void add(__m128i pixel_pairs, const WeightPair& weights) {
    high = _mm_add_epi32(high, _mm_madd_epi16(pixel_pairs, weights.high));
    low = _mm_add_epi32(low, _mm_madd_epi16(pixel_pairs, weights.low));
  }
  __m128i rounded() const {
    return _mm_srai_epi32(_mm_add_epi32(_mm_slli_epi32(high, kLowBits), low), kWeightBits);
  }
};

__m128i load4(const uint8_t* bytes) {
  int32_t value;
  std::memcpy(&value, bytes, 4);
  return _mm_cvtsi32_si128(value);
}

__m128i load8(const uint8_t* bytes) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
}

}  // namespace

void resample_row(const uint8_t* row, int64_t width, const ResampleWeights& weights, uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  const auto load_pixel = [&](int64_t x) {
    if (x + 1 < width) return load4(row + x * 3);
    uint8_t last[4] = {row[x * 3], row[x * 3 + 1], row[x * 3 + 2], 0};
    return load4(last);
  };
  for (const ResampleWeights::Window& window : weights.windows) {
    Sums sums;
    const int32_t* weight = &weights.weights[window.weights_at];
    const int64_t end = int64_t{window.first} + window.count;
    int64_t x = window.first;
    for (; x + 2 < end; x += 2, weight += 2) {
      const __m128i pair = _mm_unpacklo_epi8(load4(row + x * 3), load4(row + x * 3 + 3));
      sums.add(_mm_unpacklo_epi8(pair, zero), {weight[0], weight[1]});  // r r g g b b . .
    }
    const __m128i second = x + 1 < end ? load_pixel(x + 1) : zero;
    const __m128i pair = _mm_unpacklo_epi8(load_pixel(x), second);
    sums.add(_mm_unpacklo_epi8(pair, zero), {weight[0], weight[1]});
    const __m128i words = _mm_packs_epi32(sums.rounded(), zero);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, zero));
    std::memcpy(out, &bytes, 3);
    out += 3;
  }
}

void blend_rows(const uint8_t* rows, int64_t stride, int64_t size, const int32_t* weights,
                int64_t count, uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  int64_t x = 0;
  for (; x + 8 <= size; x += 8) {
    Sums left;
    Sums right;
    for (int64_t i = 0; i < count; i += 2) {
      const uint8_t* at = rows + i * stride + x;
      const __m128i second = i + 1 < count ? load8(at + stride) : zero;
      const __m128i pairs = _mm_unpacklo_epi8(load8(at), second);
      const WeightPair pair(weights[i], weights[i + 1]);
      left.add(_mm_unpacklo_epi8(pairs, zero), pair);
      right.add(_mm_unpackhi_epi8(pairs, zero), pair);
    }
    const __m128i words = _mm_packs_epi32(left.rounded(), right.rounded());
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + x), _mm_packus_epi16(words, zero));
  }
  blend_rows_generic(rows + x, stride, size - x, weights, count, out + x);
}

#else

void resample_row(const uint8_t* row, int64_t width, const ResampleWeights& weights, uint8_t* out) {
  resample_row_generic(row, width, weights, out);
}

void blend_rows(const uint8_t* rows, int64_t stride, int64_t size, const int32_t* weights,
                int64_t count, uint8_t* out) {
  blend_rows_generic(rows, stride, size, weights, count, out);
}

#endif

}  // namespace e5v::detail
