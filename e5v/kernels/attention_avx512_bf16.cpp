#include <immintrin.h>

#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

/// Products of bf16 pairs, for CPUs that have them but no tiles (AMD from Zen 4, Intel's Cooper
/// Lake).
struct Products {
  using Element = BFloat16;
  static constexpr int64_t kPair = 2;
  static constexpr int64_t kQueries = 32;
  static constexpr int64_t kKeys = 128;
  static constexpr int64_t kRows = 8;
  static constexpr int64_t kDepth = 2;

  static void begin() {}
  static void end() {}

  static void store_weights(BFloat16* out, Floats weights) {
    const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(weights));
    std::memcpy(out, &halves, sizeof(halves));
  }

  static void multiply(int64_t rows, int64_t depth, const BFloat16* a, int64_t lda,
                       const BFloat16* b, int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    for (int64_t row = 0; row < rows; row += kRows) {
      multiply_rows(depth, a + row * lda, lda, b, ldb, c + row * ldc, ldc, accumulate);
    }
  }

 private:
  static __m512bh load_pairs(const BFloat16* x) {
    __m512bh result;
    std::memcpy(&result, x, sizeof(result));
    return result;
  }

  static void multiply_rows(int64_t depth, const BFloat16* a, int64_t lda, const BFloat16* b,
                            int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    __m512 sums[kRows][2];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      sums[i][0] = accumulate ? _mm512_loadu_ps(c + i * ldc) : _mm512_setzero_ps();
      sums[i][1] = accumulate ? _mm512_loadu_ps(c + i * ldc + kWidth) : _mm512_setzero_ps();
    }
    for (int64_t d = 0; d < depth; d += 2) {
      const __m512bh left = load_pairs(b + d * ldb);
      const __m512bh right = load_pairs(b + d * ldb + 2 * kWidth);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) {
        int32_t pair;
        std::memcpy(&pair, a + i * lda + d, sizeof(pair));
        const __m512bh x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        sums[i][0] = _mm512_dpbf16_ps(sums[i][0], x, left);
        sums[i][1] = _mm512_dpbf16_ps(sums[i][1], x, right);
      }
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      _mm512_storeu_ps(c + i * ldc, sums[i][0]);
      _mm512_storeu_ps(c + i * ldc + kWidth, sums[i][1]);
    }
  }
};

}  // namespace
}  // namespace e5v::detail

// After the Products that it multiplies with.
#include "e5v/kernels/attention_vector.h"

namespace e5v::detail {

const AttentionKernels kAvx512Bf16Attention = kVectorAttention;

}  // namespace e5v::detail
