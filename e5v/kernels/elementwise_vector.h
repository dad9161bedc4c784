// elementwise_kernels.h in vectors of kWidth floats; compiled by elementwise_avx2.cpp and
// elementwise_avx512.cpp, each with its own instruction set.
#pragma once

#include "e5v/kernels/elementwise_kernels.h"
#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

/// Calls `whole(i)` for each full vector that begins at element i, then `part(i, count)` for what
/// is left.
template <class Whole, class Part>
inline void for_each_vector(int64_t size, Whole whole, Part part) {
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) whole(i);
  if (i < size) part(i, size - i);
}

/// out[i] = function(x[i]).
template <class In, class Out, class Function>
inline void map(const In* x, int64_t size, Out* out, Function function) {
  for_each_vector(
      size, [&](int64_t i) { store(out + i, function(load(x + i))); },
      [&](int64_t i, int64_t count) {
        store_part(out + i, function(load_part(x + i, count)), count);
      });
}

/// Σ (x − shift)², in four chains so that additions overlap.
inline float sum_of_squares(const float* x, float shift, int64_t size) {
  Floats sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= size; i += 4 * kWidth) {
    for (int64_t j = 0; j < 4; ++j) {
      const Floats value = load(x + i + j * kWidth) - shift;
      sums[j] += value * value;
    }
  }
  float rest = 0;
  for (; i < size; ++i) rest += (x[i] - shift) * (x[i] - shift);
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

inline float sum_of(const float* x, int64_t size) {
  Floats sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= size; i += 4 * kWidth) {
    for (int64_t j = 0; j < 4; ++j) sums[j] += load(x + i + j * kWidth);
  }
  float rest = 0;
  for (; i < size; ++i) rest += x[i];
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

template <class Out>
void rms_norm_rows(const float* x, const float* weight, float eps, int64_t num_rows, int64_t size,
                   Out* out) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, out += size) {
    const float factor = 1.0f / __builtin_sqrtf(sum_of_squares(x, 0, size) / size + eps);
    for_each_vector(
        size, [&](int64_t i) { store(out + i, load(x + i) * factor * load(weight + i)); },
        [&](int64_t i, int64_t count) {
          store_part(out + i, load_part(x + i, count) * factor * load_part(weight + i, count),
                     count);
        });
  }
}

template <class Out>
void layer_norm_rows(const float* x, const float* weight, const float* bias, float eps,
                     int64_t num_rows, int64_t size, Out* out) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, out += size) {
    const float mean = sum_of(x, size) / size;
    const float factor = 1.0f / __builtin_sqrtf(sum_of_squares(x, mean, size) / size + eps);
    for_each_vector(
        size,
        [&](int64_t i) {
          store(out + i, (load(x + i) - mean) * factor * load(weight + i) + load(bias + i));
        },
        [&](int64_t i, int64_t count) {
          store_part(out + i,
                     (load_part(x + i, count) - mean) * factor * load_part(weight + i, count) +
                         load_part(bias + i, count),
                     count);
        });
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
      for_each_vector(
          half,
          [&](int64_t i) {
            const Floats a = load(first + i), b = load(second + i);
            const Floats c = load(cos + i), s = load(sin + i);
            store(first + i, a * c - b * s);
            store(second + i, b * c + a * s);
          },
          [&](int64_t i, int64_t count) {
            const Floats a = load_part(first + i, count), b = load_part(second + i, count);
            const Floats c = load_part(cos + i, count), s = load_part(sin + i, count);
            store_part(first + i, a * c - b * s, count);
            store_part(second + i, b * c + a * s, count);
          });
    }
  }
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }

template <class In, class Out>
void silu_mul_rows(const In* gate_up, int64_t num_tokens, int64_t size, Out* out) {
  for (int64_t t = 0; t < num_tokens; ++t, gate_up += 2 * size, out += size) {
    const In* up = gate_up + size;
    for_each_vector(
        size,
        [&](int64_t i) {
          const Floats gate = load(gate_up + i);
          store(out + i, gate * sigmoid(gate) * load(up + i));
        },
        [&](int64_t i, int64_t count) {
          const Floats gate = load_part(gate_up + i, count);
          store_part(out + i, gate * sigmoid(gate) * load_part(up + i, count), count);
        });
  }
}

/// Σ x · weight · dy.
template <class Gradient>
inline float sum_of_products(const float* x, const float* weight, const Gradient* dy,
                             int64_t size) {
  Floats total = {};
  for_each_vector(
      size, [&](int64_t i) { total += load(x + i) * load(weight + i) * load(dy + i); },
      [&](int64_t i, int64_t count) {
        total += load_part(x + i, count) * load_part(weight + i, count) * load_part(dy + i, count);
      });
  return sum(total);
}

template <class Gradient>
void rms_norm_backward_rows(const float* x, const float* weight, float eps, const Gradient* dy,
                            int64_t num_rows, int64_t size, float* dx) {
  for (int64_t row = 0; row < num_rows; ++row, x += size, dy += size, dx += size) {
    const float factor = 1.0f / __builtin_sqrtf(sum_of_squares(x, 0, size) / size + eps);
    const float pull = factor * factor * sum_of_products(x, weight, dy, size) / size;
    for_each_vector(
        size,
        [&](int64_t i) {
          store(dx + i, factor * (load(dy + i) * load(weight + i) - load(x + i) * pull));
        },
        [&](int64_t i, int64_t count) {
          store_part(dx + i,
                     factor * (load_part(dy + i, count) * load_part(weight + i, count) -
                               load_part(x + i, count) * pull),
                     count);
        });
  }
}

template <class T>
void silu_mul_apart(const T* gate, const T* up, int64_t size, T* out) {
  const auto product = [](Floats g, Floats u) { return g * sigmoid(g) * u; };
  for_each_vector(
      size, [&](int64_t i) { store(out + i, product(load(gate + i), load(up + i))); },
      [&](int64_t i, int64_t count) {
        store_part(out + i, product(load_part(gate + i, count), load_part(up + i, count)), count);
      });
}

template <class T>
void silu_mul_backward_all(const T* gate, const T* up, const T* dy, int64_t size, T* d_gate,
                           T* d_up) {
  const auto of_gate = [](Floats g, Floats s, Floats u, Floats d) {
    return d * u * s * (1.0f + g * (1.0f - s));
  };
  for_each_vector(
      size,
      [&](int64_t i) {
        const Floats g = load(gate + i), u = load(up + i), d = load(dy + i), s = sigmoid(g);
        store(d_gate + i, of_gate(g, s, u, d));
        store(d_up + i, d * g * s);
      },
      [&](int64_t i, int64_t count) {
        const Floats g = load_part(gate + i, count), u = load_part(up + i, count),
                     d = load_part(dy + i, count), s = sigmoid(g);
        store_part(d_gate + i, of_gate(g, s, u, d), count);
        store_part(d_up + i, d * g * s, count);
      });
}

template <class T>
void quick_gelu_all(const T* x, int64_t size, T* out) {
  map(x, size, out, [](Floats value) { return value * sigmoid(value * 1.702f); });
}

/// Φ(x) = erfc(|x|/√2)/2 below zero and 1 minus that above, with the rational approximation of
/// Abramowitz & Stegun 7.1.26: within 7.5e-8.
inline Floats normal_distribution(Floats x) {
  const Floats z = maximum(x, -x) * 0.70710678f;
  const Floats t = 1.0f / (1.0f + z * 0.3275911f);
  Floats p = broadcast(1.061405429f);
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Floats tail = p * t * exponential(-z * z) * 0.5f;
  return x < Floats{} ? tail : 1.0f - tail;
}

template <class T>
void gelu_erf_all(const T* x, int64_t size, T* out) {
  map(x, size, out, [](Floats value) { return value * normal_distribution(value); });
}

template <class In, class Out>
void convert_all(const In* x, int64_t size, Out* out) {
  map(x, size, out, [](Floats value) { return value; });
}

/// 64 bits for every four elements of a vector.
typedef uint64_t Draws __attribute__((vector_size(2 * E5V_VECTOR_WIDTH)));

/// mix64 of base/random.h.
inline Draws mix(Draws value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

template <class T>
void drop_rows(const T* x, const uint64_t* row_keys, uint32_t threshold, float keep,
               int64_t num_rows, int64_t size, T* out) {
#if E5V_VECTOR_WIDTH == 16
  constexpr Draws kPlaces = {0, 4, 8, 12};
#else
  constexpr Draws kPlaces = {0, 4};
#endif
  for (int64_t row = 0; row < num_rows; ++row, x += size, out += size) {
    const auto factors = [&](int64_t i) {
      const auto bits =
          reinterpret_cast<HalfWords>(mix(kPlaces + (row_keys[row] + static_cast<uint64_t>(i))));
      return __builtin_convertvector(bits, Words) < threshold ? Floats{} : broadcast(keep);
    };
    for_each_vector(
        size, [&](int64_t i) { store(out + i, load(x + i) * factors(i)); },
        [&](int64_t i, int64_t count) {
          store_part(out + i, load_part(x + i, count) * factors(i), count);
        });
  }
}

void add_all(float* x, const float* y, int64_t size) {
  for_each_vector(
      size, [&](int64_t i) { store(x + i, load(x + i) + load(y + i)); },
      [&](int64_t i, int64_t count) {
        store_part(x + i, load_part(x + i, count) + load_part(y + i, count), count);
      });
}

}  // namespace
}  // namespace e5v::detail
