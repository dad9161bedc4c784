// dot_kernels.h in vectors of kWidth floats; compiled by dot_avx2.cpp and dot_avx512.cpp, each with
// its own instruction set.
#pragma once

#include "e5v/kernels/dot_kernels.h"
#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

template <class T>
void dot_each_row(const T* rows, const float* query, int64_t num_rows, int64_t size, float* out) {
  for (int64_t row = 0; row < num_rows; ++row, rows += size) {
    Floats sums[4] = {};  // four chains, so that additions overlap
    int64_t i = 0;
    for (; i + 4 * kWidth <= size; i += 4 * kWidth) {
      for (int64_t j = 0; j < 4; ++j) {
        sums[j] += load(rows + i + j * kWidth) * load(query + i + j * kWidth);
      }
    }
    for (; i < size; i += kWidth) {
      const int64_t count = size - i < kWidth ? size - i : kWidth;
      sums[0] += load_part(rows + i, count) * load_part(query + i, count);
    }
    out[row] = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

}  // namespace
}  // namespace e5v::detail
