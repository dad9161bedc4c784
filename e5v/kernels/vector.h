// Fixed-width vectors for the kernels' sources that are compiled once per instruction set. Included
// only by those sources: everything lies in an anonymous namespace, since the same name means other
// instructions in each of them.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "e5v/kernels/bfloat16.h"

#if defined(__AVX512F__)
#define E5V_VECTOR_WIDTH 16
#else
#define E5V_VECTOR_WIDTH 8
#endif

namespace e5v::detail {
namespace {

constexpr int64_t kWidth = E5V_VECTOR_WIDTH;

typedef float Floats __attribute__((vector_size(4 * E5V_VECTOR_WIDTH)));
typedef int32_t Ints __attribute__((vector_size(4 * E5V_VECTOR_WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * E5V_VECTOR_WIDTH)));
typedef uint16_t HalfWords __attribute__((vector_size(2 * E5V_VECTOR_WIDTH)));

inline Floats broadcast(float value) { return value - Floats{}; }

inline Floats load(const float* x) {
  Floats result;
  std::memcpy(&result, x, sizeof(result));
  return result;
}

inline Floats load(const BFloat16* x) {
  HalfWords halves;
  std::memcpy(&halves, x, sizeof(halves));
  return reinterpret_cast<Floats>(__builtin_convertvector(halves, Words) << 16);
}

/// By intrinsics, because gcc 12 widens bytes one by one; masked where its unmasked ones warn
/// (https://gcc.gnu.org/PR105593).
inline Floats load(const int8_t* x) {
#if E5V_VECTOR_WIDTH == 16
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  const Ints widened = reinterpret_cast<Ints>(_mm512_maskz_cvtepi8_epi32(0xffff, bytes));
#else
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  const Ints widened = reinterpret_cast<Ints>(_mm256_cvtepi8_epi32(bytes));
#endif
  return __builtin_convertvector(widened, Floats);
}

inline void store(float* out, Floats value) { std::memcpy(out, &value, sizeof(value)); }

inline void store(BFloat16* out, Floats value) {
  const Words bits = reinterpret_cast<Words>(value);
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words quiet_nan = (bits >> 16) | 0x40;
  const HalfWords halves = __builtin_convertvector(value == value ? rounded : quiet_nan, HalfWords);
  std::memcpy(out, &halves, sizeof(halves));
}

/// The first `count` < kWidth elements; the others are 0.
template <class T>
Floats load_part(const T* x, int64_t count) {
  T padded[kWidth] = {};
  std::memcpy(padded, x, count * sizeof(T));
  return load(padded);
}

template <class T>
void store_part(T* out, Floats value, int64_t count) {
  T padded[kWidth];
  store(padded, value);
  std::memcpy(out, padded, count * sizeof(T));
}

inline Floats maximum(Floats a, Floats b) { return a > b ? a : b; }
inline Floats minimum(Floats a, Floats b) { return a < b ? a : b; }

/// x with its halves, quarters … exchanged, so that log2(kWidth) steps reduce all lanes to one
/// value.
#if E5V_VECTOR_WIDTH == 16
inline Floats exchange_halves(Floats x) {
  return __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}
inline Floats exchange_quarters(Floats x) {
  return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}
inline Floats exchange_pairs(Floats x) {
  return __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}
inline Floats exchange_neighbours(Floats x) {
  return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}
#else
inline Floats exchange_quarters(Floats x) {
  return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
}
inline Floats exchange_pairs(Floats x) {
  return __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
}
inline Floats exchange_neighbours(Floats x) {
  return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
}
#endif

inline float sum(Floats x) {
#if E5V_VECTOR_WIDTH == 16
  x += exchange_halves(x);
#endif
  x += exchange_quarters(x);
  x += exchange_pairs(x);
  x += exchange_neighbours(x);
  return x[0];
}

inline float largest(Floats x) {
#if E5V_VECTOR_WIDTH == 16
  x = maximum(x, exchange_halves(x));
#endif
  x = maximum(x, exchange_quarters(x));
  x = maximum(x, exchange_pairs(x));
  x = maximum(x, exchange_neighbours(x));
  return x[0];
}

/// eˣ within 2 units in the last place; 0 below −87.3, e^88.3 above that; NaN stays NaN.
/// Cody-Waite reduction and the polynomial of Cephes' expf.
inline Floats exponential(Floats x) {
  const Floats original = x;
  x = minimum(broadcast(88.3f), maximum(broadcast(-87.3f), x));  // in this order NaN passes
  const Floats kRound = broadcast(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const Floats biased = x * 1.44269504f + kRound;
  const Floats n = biased - kRound;
  const Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Ints exponent = reinterpret_cast<Ints>(biased) << 23;  // the bias' own bits fall off
  const Floats result = reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) + exponent);
  return original < broadcast(-87.3f) ? Floats{} : result;
}

}  // namespace
}  // namespace e5v::detail
