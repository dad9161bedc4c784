// Products of attention_vector.h in fp32, for AVX2 and AVX-512.
#pragma once

#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

struct Products {
  using Element = float;
  static constexpr int64_t kPair = 1;
  static constexpr int64_t kQueries = 32;
  static constexpr int64_t kKeys = 128;
  // Half as many rows as a vector has lanes: with two columns of vectors, sums and operands fill
  // the registers without spilling (16 of AVX2, 32 of AVX-512), and hide the latency of a fused
  // product.
  static constexpr int64_t kRows = kWidth / 2;
  static constexpr int64_t kDepth = 1;

  static void begin() {}
  static void end() {}

  static void store_weights(float* out, Floats weights) { store(out, weights); }

  static void multiply(int64_t rows, int64_t depth, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    for (int64_t row = 0; row < rows; row += kRows) {
      multiply_rows(depth, a + row * lda, lda, b, ldb, c + row * ldc, ldc, accumulate);
    }
  }

 private:
  static void multiply_rows(int64_t depth, const float* a, int64_t lda, const float* b, int64_t ldb,
                            float* c, int64_t ldc, bool accumulate) {
    Floats sums[kRows][2] = {};
    for (int64_t d = 0; d < depth; ++d) {
      const Floats left = load(b + d * ldb), right = load(b + d * ldb + kWidth);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) {
        const float x = a[i * lda + d];
        sums[i][0] += left * x;
        sums[i][1] += right * x;
      }
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      float* out = c + i * ldc;
      if (accumulate) {
        sums[i][0] += load(out);
        sums[i][1] += load(out + kWidth);
      }
      store(out, sums[i][0]);
      store(out + kWidth, sums[i][1]);
    }
  }
};

}  // namespace
}  // namespace e5v::detail
