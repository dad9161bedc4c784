// four_bits_kernels.h in vectors; compiled by four_bits_avx2.cpp and four_bits_avx512.cpp, each
// with its own instruction set.
#pragma once

#include "e5v/kernels/four_bits_kernels.h"
#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

constexpr int64_t kHalfGroup = kInt4Group / 2;
constexpr int64_t kVectors = kInt4Group / kWidth;  // of a group
typedef uint16_t Table __attribute__((vector_size(32)));
typedef uint8_t Codes __attribute__((vector_size(16)));
typedef uint32_t Pairs __attribute__((vector_size(64)));

/// Each value times each multiplier.
struct ProductTable {
  int8_t rows[16][16];
  constexpr ProductTable() : rows() {
    for (int m = 0; m < 16; ++m) {
      for (int code = 0; code < 16; ++code) rows[m][code] = static_cast<int8_t>((code - 8) * m);
    }
  }
};
constexpr ProductTable kProducts;

inline Floats round_value(Floats x, float inverse) {
  const Floats kRound = broadcast(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const Floats rounded = (x * inverse + kRound) - kRound;
  return minimum(broadcast(7), maximum(broadcast(-8), rounded));
}

inline int best_multiplier(const Floats* x, float scale) {
  Floats largest_values = {};
  for (int64_t v = 0; v < kVectors; ++v) {
    largest_values = maximum(largest_values, maximum(x[v], -x[v]));
  }
  const int middle = int4_multiplier(largest(largest_values), scale);
  int best = middle;
  float least_error = __builtin_inff();
  for (int m = middle - kInt4TriedBelow; m <= middle + kInt4TriedAbove; ++m) {
    if (m < 1 || m > kInt4LargestMultiplier) continue;
    const float step = static_cast<float>(m) * scale, inverse = 1 / step;
    Floats errors = {};
    for (int64_t v = 0; v < kVectors; ++v) {
      const Floats difference = x[v] - round_value(x[v], inverse) * step;
      errors += difference * difference;
    }
    const float error = sum(errors);
    if (error < least_error) {
      least_error = error;
      best = m;
    }
  }
  return best;
}

void round_groups(const float* x, int64_t num_groups, float scale, uint8_t* codes,
                  uint8_t* multipliers) {
  for (int64_t g = 0; g < num_groups; ++g, x += kInt4Group, codes += kHalfGroup) {
    Floats group[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) group[v] = load(x + v * kWidth);
    const int best = best_multiplier(group, scale);
    const float inverse = 1 / (static_cast<float>(best) * scale);
    int32_t values[kInt4Group];
    for (int64_t v = 0; v < kVectors; ++v) {
      const Ints rounded = __builtin_convertvector(round_value(group[v], inverse), Ints) + 8;
      std::memcpy(values + v * kWidth, &rounded, sizeof(rounded));
    }
    for (int64_t j = 0; j < kHalfGroup; ++j) {
      codes[j] = static_cast<uint8_t>(values[j] | values[kHalfGroup + j] << 4);
    }
    multipliers[g] = static_cast<uint8_t>(best);
  }
}

void unpack_groups(const uint8_t* codes, const uint8_t* multipliers, int64_t num_groups,
                   int8_t* out) {
  for (int64_t g = 0; g < num_groups; ++g, codes += kHalfGroup, out += kInt4Group) {
    Codes pairs, table;
    std::memcpy(&pairs, codes, sizeof(pairs));
    std::memcpy(&table, kProducts.rows[multipliers[g] & 15], sizeof(table));
    const Codes low = __builtin_shuffle(table, pairs & 15);
    const Codes high = __builtin_shuffle(table, pairs >> 4);
    std::memcpy(out, &low, sizeof(low));
    std::memcpy(out + kHalfGroup, &high, sizeof(high));
  }
}

void widen_blocks(const uint8_t* codes, const float* scales, const float* values,
                  int64_t num_blocks, BFloat16* out) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    BFloat16 scaled[16];
    for (int64_t v = 0; v < 16; v += kWidth) store(scaled + v, load(values + v) * scales[block]);
    Table table;
    std::memcpy(&table, scaled, sizeof(table));
    for (int64_t part = 0; part < 2; ++part, codes += 16, out += 32) {
      Codes pairs;
      std::memcpy(&pairs, codes, sizeof(pairs));
      const Table wide = __builtin_convertvector(pairs, Table);
      const Table first = __builtin_shuffle(table, wide >> 4);
      const Table second = __builtin_shuffle(table, wide & 15);
      const Pairs both =
          __builtin_convertvector(second, Pairs) << 16 | __builtin_convertvector(first, Pairs);
      std::memcpy(out, &both, sizeof(both));
    }
  }
}

}  // namespace
}  // namespace e5v::detail
