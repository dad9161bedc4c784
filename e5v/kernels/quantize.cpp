#include "e5v/kernels/quantize.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "e5v/kernels/isa.h"
#include "e5v/kernels/quantize_kernels.h"

namespace e5v::detail {
namespace {

const QuantizeKernels& kernels() {
#if defined(E5V_KERNELS_X86)
  if (isa_level() >= IsaLevel::kAvx512) return kAvx512Quantize;
  if (isa_level() >= IsaLevel::kAvx2) return kAvx2Quantize;
#endif
  return kGenericQuantize;
}

/// Below this many elements a thread's start costs more than its work saves.
constexpr int64_t kMinElementsPerThread = 1 << 13;

void rotate(const QuantizeKernels& table, float* row, int64_t size, int64_t block) {
  for (int64_t begin = 0; begin < size; begin += block) table.hadamard(row + begin, block);
}

template <class T>
void rotate_and_quantize_rows(const T* x, const float* channels, int64_t num_rows, int64_t size,
                              int8_t* out, float* scales) {
  const QuantizeKernels& table = kernels();
  const int64_t block = hadamard_size(size);
  const float to_orthogonal = 1 / std::sqrt(static_cast<float>(block));
  const int64_t num_threads =
      std::clamp<int64_t>(num_rows * size / kMinElementsPerThread, 1, omp_get_max_threads());
#pragma omp parallel num_threads(static_cast <int>(num_threads))
  {
    std::vector<float> row(size);
#pragma omp for
    for (int64_t r = 0; r < num_rows; ++r) {
      if constexpr (std::is_same_v<T, float>) {
        table.weigh_f32(x + r * size, channels, size, row.data());
      } else {
        table.weigh_bf16(x + r * size, channels, size, row.data());
      }
      rotate(table, row.data(), size, block);
      const float largest = table.largest_magnitude(row.data(), size);
      scales[r] = largest * (1.0f / 127) * to_orthogonal;
      const bool is_usable = largest > 0 && std::isfinite(largest);
      table.round(row.data(), size, is_usable ? 127 / largest : 0, out + r * size);
    }
  }
}

}  // namespace

int64_t hadamard_size(int64_t size) { return size & -size; }

void hadamard(float* x, int64_t num_rows, int64_t size) {
  for (int64_t r = 0; r < num_rows; ++r) {
    rotate(kernels(), x + r * size, size, hadamard_size(size));
  }
}

void rotate_and_quantize(const float* x, const float* channels, int64_t num_rows, int64_t size,
                         int8_t* out, float* scales) {
  rotate_and_quantize_rows(x, channels, num_rows, size, out, scales);
}

void rotate_and_quantize(const BFloat16* x, const float* channels, int64_t num_rows, int64_t size,
                         int8_t* out, float* scales) {
  rotate_and_quantize_rows(x, channels, num_rows, size, out, scales);
}

void scale_sums(const int32_t* sums, int64_t num_rows, int64_t size, const float* row_scales,
                const float* column_scales, const float* bias, bool accumulate, float* y,
                int64_t y_stride) {
  for (int64_t r = 0; r < num_rows; ++r) {
    kernels().scale_f32(sums + r * size, size, row_scales[r], column_scales, bias, accumulate,
                        y + r * y_stride);
  }
}

void scale_sums(const int32_t* sums, int64_t num_rows, int64_t size, const float* row_scales,
                const float* column_scales, const float* bias, BFloat16* y, int64_t y_stride) {
  for (int64_t r = 0; r < num_rows; ++r) {
    kernels().scale_bf16(sums + r * size, size, row_scales[r], column_scales, bias,
                         y + r * y_stride);
  }
}

}  // namespace e5v::detail
