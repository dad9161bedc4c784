#include "e5v/kernels/dot_kernels.h"

namespace e5v::detail {
namespace {

template <class T>
void dot_each_row(const T* rows, const float* query, int64_t num_rows, int64_t size, float* out) {
  for (int64_t row = 0; row < num_rows; ++row, rows += size) {
    double sum = 0;
    for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(rows[i]) * query[i];
    out[row] = static_cast<float>(sum);
  }
}

}  // namespace

const DotKernels kGenericDot = {dot_each_row<float>, dot_each_row<int8_t>};

}  // namespace e5v::detail
