#include "e5v/kernels/dot.h"

#include <omp.h>

#include <algorithm>

#include "e5v/kernels/dot_kernels.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

const DotKernels& kernels() {
#if defined(E5V_KERNELS_X86)
  if (isa_level() >= IsaLevel::kAvx512) return kAvx512Dot;
  if (isa_level() >= IsaLevel::kAvx2) return kAvx2Dot;
#endif
  return kGenericDot;
}

/// Below this many products a thread's start costs more than its work saves.
constexpr int64_t kMinProductsPerThread = 1 << 16;

template <class T, class Kernel>
void dot_with(Kernel kernel, const T* rows, const float* query, int64_t num_rows, int64_t size,
              float* out) {
  const int64_t num_threads =
      std::min<int64_t>(omp_get_max_threads(), num_rows * size / kMinProductsPerThread);
  if (num_threads <= 1) return kernel(rows, query, num_rows, size, out);
#pragma omp parallel num_threads(static_cast <int>(num_threads))
  {
    const int64_t thread = omp_get_thread_num(), count = omp_get_num_threads();
    const int64_t begin = num_rows * thread / count, end = num_rows * (thread + 1) / count;
    kernel(rows + begin * size, query, end - begin, size, out + begin);
  }
}

}  // namespace

void dot_rows(const float* rows, const float* query, int64_t num_rows, int64_t size, float* out) {
  dot_with(kernels().float32, rows, query, num_rows, size, out);
}

void dot_rows(const int8_t* rows, const float* query, int64_t num_rows, int64_t size, float* out) {
  dot_with(kernels().int8, rows, query, num_rows, size, out);
}

double dot_error_bound(int64_t size) {
  // Higham, Accuracy and Stability of Numerical Algorithms, 3.1: n·u / (1 − n·u).
  const double nu = static_cast<double>(size) * 0x1p-24;
  return nu / (1 - nu);
}

}  // namespace e5v::detail
