#include <cmath>

#include "e5v/base/random.h"
#include "e5v/kernels/elementwise_kernels.h"

namespace e5v::detail {
namespace {

void assign(float& out, float value) { out = value; }
void assign(BFloat16& out, float value) { out = to_bfloat16(value); }

template <class Out>
void rms_norm_rows(const float* x, const float* weight, float eps, int64_t num_rows, int64_t size,
                   Out* out) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, out += size) {
    double squares = 0;
    for (int64_t i = 0; i < size; ++i) squares += static_cast<double>(x[i]) * x[i];
    const float factor = 1.0f / std::sqrt(static_cast<float>(squares / size) + eps);
    for (int64_t i = 0; i < size; ++i) assign(out[i], x[i] * factor * weight[i]);
  }
}

template <class Out>
void layer_norm_rows(const float* x, const float* weight, const float* bias, float eps,
                     int64_t num_rows, int64_t size, Out* out) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, out += size) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < size; ++i) sum += x[i];
    const float mean = static_cast<float>(sum / size);
    for (int64_t i = 0; i < size; ++i) squares += static_cast<double>(x[i] - mean) * (x[i] - mean);
    const float factor = 1.0f / std::sqrt(static_cast<float>(squares / size) + eps);
    for (int64_t i = 0; i < size; ++i) {
      assign(out[i], (x[i] - mean) * factor * weight[i] + bias[i]);
    }
  }
}

template <class T>
void rotary_rows(T* x, int64_t row_stride, const float* cos, const float* sin, int64_t num_tokens,
                 int64_t num_heads, int64_t head_size) {
  const int64_t half = head_size / 2;
  for (int64_t t = 0; t < num_tokens; ++t, cos += half, sin += half) {
    for (int64_t h = 0; h < num_heads; ++h) {
      T* first = x + t * row_stride + h * head_size;
      T* second = first + half;
      for (int64_t i = 0; i < half; ++i) {
        const float a = to_float(first[i]), b = to_float(second[i]);
        assign(first[i], a * cos[i] - b * sin[i]);
        assign(second[i], b * cos[i] + a * sin[i]);
      }
    }
  }
}

template <class In, class Out>
void silu_mul_rows(const In* gate_up, int64_t num_tokens, int64_t size, Out* out) {
  for (int64_t t = 0; t < num_tokens; ++t, gate_up += 2 * size, out += size) {
    for (int64_t i = 0; i < size; ++i) {
      const float gate = to_float(gate_up[i]);
      assign(out[i], gate / (1.0f + std::exp(-gate)) * to_float(gate_up[size + i]));
    }
  }
}

template <class Gradient>
void rms_norm_backward_rows(const float* x, const float* weight, float eps, const Gradient* dy,
                            int64_t num_rows, int64_t size, float* dx) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, dy += size, dx += size) {
    double squares = 0, products = 0;
    for (int64_t i = 0; i < size; ++i) {
      squares += static_cast<double>(x[i]) * x[i];
      products += static_cast<double>(x[i]) * to_float(dy[i]) * weight[i];
    }
    const float factor = 1.0f / std::sqrt(static_cast<float>(squares / size) + eps);
    const float pull = factor * factor * static_cast<float>(products / size);
    for (int64_t i = 0; i < size; ++i) {
      dx[i] = factor * (to_float(dy[i]) * weight[i] - x[i] * pull);
    }
  }
}

template <class T>
void silu_mul_apart(const T* gate, const T* up, int64_t size, T* out) {
  for (int64_t i = 0; i < size; ++i) {
    const float g = to_float(gate[i]);
    assign(out[i], g / (1.0f + std::exp(-g)) * to_float(up[i]));
  }
}

template <class T>
void silu_mul_backward_all(const T* gate, const T* up, const T* dy, int64_t size, T* d_gate,
                           T* d_up) {
  for (int64_t i = 0; i < size; ++i) {
    const float g = to_float(gate[i]), u = to_float(up[i]), d = to_float(dy[i]);
    const float s = 1.0f / (1.0f + std::exp(-g));
    assign(d_gate[i], d * u * s * (1.0f + g * (1.0f - s)));
    assign(d_up[i], d * g * s);
  }
}

template <class T>
void quick_gelu_all(const T* x, int64_t size, T* out) {
  for (int64_t i = 0; i < size; ++i) {
    const float value = to_float(x[i]);
    assign(out[i], value / (1.0f + std::exp(-1.702f * value)));
  }
}

template <class T>
void gelu_erf_all(const T* x, int64_t size, T* out) {
  for (int64_t i = 0; i < size; ++i) {
    const float value = to_float(x[i]);
    assign(out[i], 0.5f * value * std::erfc(-value * 0.70710678f));
  }
}

template <class In, class Out>
void convert_all(const In* x, int64_t size, Out* out) {
  for (int64_t i = 0; i < size; ++i) assign(out[i], to_float(x[i]));
}

template <class T>
void drop_rows(const T* x, const uint64_t* row_keys, uint32_t threshold, float keep,
               int64_t num_rows, int64_t size, T* out) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, out += size) {
    for (int64_t i = 0; i < size; ++i) {
      const int64_t lane = i % 4;
      const uint64_t bits = mix64(row_keys[row] + static_cast<uint64_t>(i - lane)) >> (16 * lane);
      assign(out[i], to_float(x[i]) * ((bits & 0xffff) < threshold ? 0.0f : keep));
    }
  }
}

void add_all(float* x, const float* y, int64_t size) {
  for (int64_t i = 0; i < size; ++i) x[i] += y[i];
}

}  // namespace

const ElementwiseKernels kGenericElementwise = E5V_ELEMENTWISE_KERNELS;

}  // namespace e5v::detail
