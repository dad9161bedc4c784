#include <immintrin.h>

#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

/// Products in tiles of 16 rows of 64 bytes: two by two tiles of sums (0–3), two of each operand
/// (4, 5 and 6, 7).
struct Products {
  using Element = BFloat16;
  static constexpr int64_t kPair = 2;
  static constexpr int64_t kQueries = 32;
  static constexpr int64_t kKeys = 256;
  static constexpr int64_t kRows = 16;
  static constexpr int64_t kDepth = 32;

  static void begin() {
    struct alignas(64) Configuration {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    const Configuration configuration;
    finish_stores();
    _tile_loadconfig(&configuration);
  }

  static void end() { _tile_release(); }

  static void store_weights(BFloat16* out, Floats weights) {
    const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(weights));
    std::memcpy(out, &halves, sizeof(halves));
  }

  static void multiply(int64_t rows, int64_t depth, const BFloat16* a, int64_t lda,
                       const BFloat16* b, int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    finish_stores();
    int64_t row = 0;
    for (; row + 32 <= rows; row += 32) {
      multiply_32_rows(depth, a + row * lda, lda, b, ldb, c + row * ldc, ldc, accumulate);
    }
    if (row < rows) {
      multiply_16_rows(depth, a + row * lda, lda, b, ldb, c + row * ldc, ldc, accumulate);
    }
  }

 private:
  /// GCC's tile loads do not say that they read memory: keeps earlier stores before them.
  static void finish_stores() { __asm__ volatile("" ::: "memory"); }

  static void multiply_32_rows(int64_t depth, const BFloat16* a, int64_t lda, const BFloat16* b,
                               int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    const int64_t c_bytes = ldc * 4, a_bytes = lda * 2, b_bytes = ldb * 4;
    if (accumulate) {
      _tile_loadd(0, c, c_bytes);
      _tile_loadd(1, c + 16, c_bytes);
      _tile_loadd(2, c + 16 * ldc, c_bytes);
      _tile_loadd(3, c + 16 * ldc + 16, c_bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t d = 0; d < depth; d += kDepth) {
      _tile_loadd(4, a + d, a_bytes);
      _tile_loadd(6, b + d * ldb, b_bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, b + d * ldb + 32, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, a + 16 * lda + d, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, c_bytes);
    _tile_stored(1, c + 16, c_bytes);
    _tile_stored(2, c + 16 * ldc, c_bytes);
    _tile_stored(3, c + 16 * ldc + 16, c_bytes);
  }

  static void multiply_16_rows(int64_t depth, const BFloat16* a, int64_t lda, const BFloat16* b,
                               int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    const int64_t c_bytes = ldc * 4, a_bytes = lda * 2, b_bytes = ldb * 4;
    if (accumulate) {
      _tile_loadd(0, c, c_bytes);
      _tile_loadd(1, c + 16, c_bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
    }
    for (int64_t d = 0; d < depth; d += kDepth) {
      _tile_loadd(4, a + d, a_bytes);
      _tile_loadd(6, b + d * ldb, b_bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, b + d * ldb + 32, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    _tile_stored(0, c, c_bytes);
    _tile_stored(1, c + 16, c_bytes);
  }
};

}  // namespace
}  // namespace e5v::detail

// After the Products that it multiplies with.
#include "e5v/kernels/attention_vector.h"

namespace e5v::detail {

const AttentionKernels kAmxAttention = kVectorAttention;

}  // namespace e5v::detail
