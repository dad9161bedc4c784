#include <algorithm>
#include <cmath>

#include "e5v/kernels/quantize_kernels.h"

namespace e5v::detail {
namespace {

void hadamard_block(float* x, int64_t size) {
  for (int64_t stride = 1; stride < size; stride *= 2) {
    for (int64_t begin = 0; begin < size; begin += 2 * stride) {
      for (int64_t i = begin; i < begin + stride; ++i) {
        const float a = x[i], b = x[i + stride];
        x[i] = a + b;
        x[i + stride] = a - b;
      }
    }
  }
}

template <class T>
void weigh_all(const T* x, const float* channels, int64_t size, float* out) {
  for (int64_t i = 0; i < size; ++i) {
    out[i] = channels == nullptr ? to_float(x[i]) : to_float(x[i]) * channels[i];
  }
}

float largest_of(const float* x, int64_t size) {
  float largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (std::isnan(x[i])) return x[i];
    largest = std::max(largest, std::abs(x[i]));
  }
  return largest;
}

void round_all(const float* x, int64_t size, float factor, int8_t* out) {
  for (int64_t i = 0; i < size; ++i) {
    const float value = factor == 0 ? 0 : std::nearbyint(x[i] * factor);
    out[i] = static_cast<int8_t>(value);
  }
}

void scale_row_f32(const int32_t* sums, int64_t size, float row_scale, const float* column_scales,
                   const float* bias, bool accumulate, float* y) {
  for (int64_t i = 0; i < size; ++i) {
    float value = static_cast<float>(sums[i]) * (row_scale * column_scales[i]);
    if (bias != nullptr) value += bias[i];
    y[i] = accumulate ? y[i] + value : value;
  }
}

void scale_row_bf16(const int32_t* sums, int64_t size, float row_scale, const float* column_scales,
                    const float* bias, BFloat16* y) {
  for (int64_t i = 0; i < size; ++i) {
    const float value = static_cast<float>(sums[i]) * (row_scale * column_scales[i]);
    y[i] = to_bfloat16(bias != nullptr ? value + bias[i] : value);
  }
}

}  // namespace

const QuantizeKernels kGenericQuantize = E5V_QUANTIZE_KERNELS;

}  // namespace e5v::detail
