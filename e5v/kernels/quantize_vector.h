// quantize_kernels.h in vectors of kWidth floats; compiled by quantize_avx2.cpp and
// quantize_avx512.cpp, each with its own instruction set.
#pragma once

#include "e5v/kernels/quantize_kernels.h"
#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

typedef int8_t Bytes __attribute__((vector_size(E5V_VECTOR_WIDTH)));

/// The steps of the Hadamard transform between lanes of one vector: lane i gets x[i] + x[j] or
/// x[j] − x[i], where j is i with one bit flipped and lanes with the bit set subtract.
inline Floats transform_lanes(Floats x) {
#if E5V_VECTOR_WIDTH == 16
  constexpr Floats kOne = {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1};
  constexpr Floats kTwo = {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1};
  constexpr Floats kFour = {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1};
  constexpr Floats kEight = {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
#else
  constexpr Floats kOne = {1, -1, 1, -1, 1, -1, 1, -1};
  constexpr Floats kTwo = {1, 1, -1, -1, 1, 1, -1, -1};
  constexpr Floats kFour = {1, 1, 1, 1, -1, -1, -1, -1};
#endif
  x = x * kOne + exchange_neighbours(x);
  x = x * kTwo + exchange_pairs(x);
  x = x * kFour + exchange_quarters(x);
#if E5V_VECTOR_WIDTH == 16
  x = x * kEight + exchange_halves(x);
#endif
  return x;
}

/// All steps between elements that are stride, 2 stride … kRadix/2 · stride apart, with the values
/// in registers; with kFirst, stride is kWidth and the steps within vectors are done as well.
template <int64_t kRadix, bool kFirst>
inline void transform_pass(float* x, int64_t size, int64_t stride) {
  for (int64_t begin = 0; begin < size; begin += kRadix * stride) {
    for (int64_t i = begin; i < begin + stride; i += kWidth) {
      Floats values[kRadix];
      for (int64_t r = 0; r < kRadix; ++r) {
        values[r] = load(x + i + r * stride);
        if constexpr (kFirst) values[r] = transform_lanes(values[r]);
      }
      for (int64_t step = 1; step < kRadix; step *= 2) {
        for (int64_t r = 0; r < kRadix; ++r) {
          if (r & step) continue;
          const Floats a = values[r], b = values[r + step];
          values[r] = a + b;
          values[r + step] = a - b;
        }
      }
      for (int64_t r = 0; r < kRadix; ++r) store(x + i + r * stride, values[r]);
    }
  }
}

template <bool kFirst>
inline int64_t widest_pass(float* x, int64_t size, int64_t stride) {
  switch (const int64_t left = size / stride) {
    case 1:
      if constexpr (kFirst) transform_pass<1, kFirst>(x, size, stride);
      return 1;
    case 2:
      transform_pass<2, kFirst>(x, size, stride);
      return 2;
    case 4:
      transform_pass<4, kFirst>(x, size, stride);
      return 4;
    default:
      transform_pass<8, kFirst>(x, size, stride);
      return 8;
  }
}

void hadamard_block(float* x, int64_t size) {
  if (size < kWidth) {
    for (int64_t stride = 1; stride < size; stride *= 2) {
      for (int64_t i = 0; i < size; ++i) {
        if (i & stride) continue;
        const float a = x[i], b = x[i + stride];
        x[i] = a + b;
        x[i + stride] = a - b;
      }
    }
    return;
  }
  int64_t stride = kWidth * widest_pass<true>(x, size, kWidth);
  while (stride < size) stride *= widest_pass<false>(x, size, stride);
}

template <class T>
void weigh_all(const T* x, const float* channels, int64_t size, float* out) {
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    store(out + i, channels == nullptr ? load(x + i) : load(x + i) * load(channels + i));
  }
  if (i == size) return;
  const Floats value = load_part(x + i, size - i);
  const bool has_channels = channels != nullptr;
  store_part(out + i, has_channels ? value * load_part(channels + i, size - i) : value, size - i);
}

float largest_of(const float* x, int64_t size) {
  Floats largest_values = {}, sums = {};
  int64_t i = 0;
  const auto take = [&](Floats value) {
    largest_values = maximum(largest_values, maximum(value, -value));
    sums += value * 0.0f;  // NaN once there is a NaN or an infinity
  };
  for (; i + kWidth <= size; i += kWidth) take(load(x + i));
  if (i < size) take(load_part(x + i, size - i));
  const float zero = sum(sums);
  return zero == 0 ? largest(largest_values) : zero;
}

inline Bytes round_to_bytes(Floats x) {
  const Floats kRound = broadcast(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const Ints biased = reinterpret_cast<Ints>(x + kRound) - reinterpret_cast<Ints>(kRound);
  return __builtin_convertvector(biased, Bytes);
}

void round_all(const float* x, int64_t size, float factor, int8_t* out) {
  if (factor == 0) {
    std::memset(out, 0, size);
    return;
  }
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    const Bytes bytes = round_to_bytes(load(x + i) * factor);
    std::memcpy(out + i, &bytes, sizeof(bytes));
  }
  if (i < size) {
    const Bytes bytes = round_to_bytes(load_part(x + i, size - i) * factor);
    std::memcpy(out + i, &bytes, size - i);
  }
}

inline Floats load_sums(const int32_t* sums, int64_t count) {
  Ints values = {};
  std::memcpy(&values, sums, count * sizeof(int32_t));
  return __builtin_convertvector(values, Floats);
}

/// Calls write(i, count, value) for each vector of sums · scales + bias.
template <class Write>
inline void scale_row(const int32_t* sums, int64_t size, float row_scale,
                      const float* column_scales, const float* bias, Write write) {
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    Floats value = load_sums(sums + i, kWidth) * (load(column_scales + i) * row_scale);
    if (bias != nullptr) value += load(bias + i);
    write(i, kWidth, value);
  }
  if (i < size) {
    const int64_t count = size - i;
    Floats value = load_sums(sums + i, count) * (load_part(column_scales + i, count) * row_scale);
    if (bias != nullptr) value += load_part(bias + i, count);
    write(i, count, value);
  }
}

void scale_row_f32(const int32_t* sums, int64_t size, float row_scale, const float* column_scales,
                   const float* bias, bool accumulate, float* y) {
  scale_row(sums, size, row_scale, column_scales, bias,
            [&](int64_t i, int64_t count, Floats value) {
              if (count == kWidth) {
                store(y + i, accumulate ? load(y + i) + value : value);
              } else {
                store_part(y + i, accumulate ? load_part(y + i, count) + value : value, count);
              }
            });
}

void scale_row_bf16(const int32_t* sums, int64_t size, float row_scale, const float* column_scales,
                    const float* bias, BFloat16* y) {
  scale_row(sums, size, row_scale, column_scales, bias,
            [&](int64_t i, int64_t count, Floats value) {
              count == kWidth ? store(y + i, value) : store_part(y + i, value, count);
            });
}

}  // namespace
}  // namespace e5v::detail
