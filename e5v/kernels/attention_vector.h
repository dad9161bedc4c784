// attention_kernels.h in vectors, once for all instruction sets: each source defines `Products`
// (how two matrices are multiplied) before it includes this file.
//
//   struct Products {
//     using Element = float or BFloat16;           // operands of both products
//     static constexpr int64_t kPair = 1 or 2;     // elements along the summed dimension in a lane
//     static constexpr int64_t kQueries, kKeys;    // size of a block
//     static constexpr int64_t kRows;              // rows are multiplied in multiples of this
//     static constexpr int64_t kDepth;             // and summed in multiples of this
//     static void begin(), end();                  // around a block's work
//     // c [rows, kColumns] = (accumulate ? c : 0) + a [rows, depth] b [depth, kColumns]; b's rows
//     lie
//     // pairwise interleaved where kPair is 2, ldb lanes apart.
//     static void multiply(int64_t rows, int64_t depth, const Element* a, int64_t lda,
//                          const Element* b, int64_t ldb, float* c, int64_t ldc, bool accumulate);
//   };
#pragma once

#include "e5v/kernels/attention_kernels.h"
#include "e5v/kernels/vector.h"

namespace e5v::detail {
namespace {

using Element = Products::Element;
constexpr int64_t kPair = Products::kPair;
/// Keys in a panel of packed keys, and columns of one product.
constexpr int64_t kColumns = 2 * kWidth;

constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Packed: the keys as panels [Dh / kPair][kColumns keys][kPair], then the values as
// [keys / kPair][Dv][kPair]; missing keys and dimensions are 0.
struct PackedShape {
  int64_t num_keys, depth, columns;

  PackedShape(int64_t keys, int64_t head_size)
      : num_keys(round_up(keys, kColumns)),
        depth(round_up(head_size, Products::kDepth)),
        columns(round_up(head_size, kColumns)) {}
  int64_t key_elements() const { return num_keys * depth; }
  int64_t value_elements() const { return num_keys * columns; }
};

size_t packed_bytes(int64_t num_keys, int64_t head_size) {
  const PackedShape shape(num_keys, head_size);
  return (shape.key_elements() + shape.value_elements()) * sizeof(Element);
}

/// Writes one row of `size` elements as Element.
template <class In>
inline void convert_row(const In* x, int64_t size, Element* out) {
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) store(out + i, load(x + i));
  if (i < size) store_part(out + i, load_part(x + i, size - i), size - i);
}

inline void convert_row(const void* x, bool is_bfloat16, int64_t offset, int64_t size,
                        Element* out) {
  if (is_bfloat16) {
    convert_row(static_cast<const BFloat16*>(x) + offset, size, out);
  } else {
    convert_row(static_cast<const float*>(x) + offset, size, out);
  }
}

inline void pack(const KeyValueHead& head, int64_t begin, int64_t end, void* packed) {
  const PackedShape shape(head.num_keys, head.head_size);
  const int64_t head_size = head.head_size;
  Element* const k = static_cast<Element*>(packed);
  Element* const v = k + shape.key_elements();
  struct Lane {
    Element elements[kPair];
  };
  // Rows are converted a pair (of keys, or of values) at a time, then interleaved by whole lanes.
  constexpr int64_t kMaxPart = 256;  // of a row; heads are rarely larger
  Element row[kPair][kMaxPart];
  const int64_t padded_end = end == head.num_keys ? shape.num_keys : end;
  for (int64_t part = 0; part < shape.depth; part += kMaxPart) {
    const int64_t part_depth = least(kMaxPart, shape.depth - part);
    const int64_t size = least(part_depth, head_size - part);
    for (int64_t key = begin; key < padded_end; ++key) {
      std::memset(row[0], 0, sizeof(row[0]));
      if (key < end) {
        convert_row(head.k, head.is_bfloat16, key * head.k_stride + part, size, row[0]);
      }
      Element* panel = k + key / kColumns * kColumns * shape.depth + key % kColumns * kPair;
      for (int64_t d = 0; d < part_depth; d += kPair) {
        std::memcpy(panel + (part + d) * kColumns, &row[0][d], sizeof(Lane));
      }
    }
  }
  for (int64_t part = 0; part < shape.columns; part += kMaxPart) {
    const int64_t part_columns = least(kMaxPart, shape.columns - part);
    const int64_t size = least(part_columns, head_size - part);
    for (int64_t key = begin; key < padded_end; key += kPair) {
      std::memset(row, 0, sizeof(row));
      for (int64_t p = 0; p < kPair && key + p < end; ++p) {
        if (size > 0) {
          convert_row(head.v, head.is_bfloat16, (key + p) * head.v_stride + part, size, row[p]);
        }
      }
      Element* out = v + key * shape.columns + part * kPair;
      for (int64_t d = 0; d < part_columns; ++d) {
        for (int64_t p = 0; p < kPair; ++p) out[d * kPair + p] = row[p][d];
      }
    }
  }
}

/// A block's memory, one region after the other.
struct Scratch {
  Element* queries;  // [kQueries, depth]
  Element* weights;  // [kQueries, kKeys]
  float* scores;     // [kQueries, kKeys]
  float* sums;       // [kQueries, columns]

  Scratch(void* memory, const PackedShape& shape) {
    sums = static_cast<float*>(memory);
    scores = sums + Products::kQueries * shape.columns;
    weights = reinterpret_cast<Element*>(scores + Products::kQueries * Products::kKeys);
    queries = weights + Products::kQueries * Products::kKeys;
  }
};

size_t scratch_bytes(int64_t num_keys, int64_t head_size) {
  const PackedShape shape(num_keys, head_size);
  return Products::kQueries * ((shape.columns + Products::kKeys) * sizeof(float) +
                               (shape.depth + Products::kKeys) * sizeof(Element));
}

/// 2ˣ for x <= 0, not below 2^−126; within 2e-7, or with a shorter polynomial within 3e-6 where the
/// weights are rounded to bf16 anyway (4e-3).
inline Floats power_of_two(Floats x) {
  x = maximum(broadcast(-126.0f), x);            // in this order NaN passes
  const Floats kRound = broadcast(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const Floats biased = x + kRound;
  const Floats r = x - (biased - kRound);
  Floats p;
  if constexpr (kPair == 2) {
    p = broadcast(9.5700974e-3f);
    p = p * r + 5.591786e-2f;
    p = p * r + 0.240247449f;
    p = p * r + 0.693121815f;
    p = p * r + 0.999999261f;
  } else {
    p = broadcast(1.53458081e-4f);
    p = p * r + 1.33999312e-3f;
    p = p * r + 9.61848897e-3f;
    p = p * r + 5.55032878e-2f;
    p = p * r + 0.240226469f;
    p = p * r + 0.693147206f;
    p = p * r + 1.0f;
  }
  const Ints exponent = reinterpret_cast<Ints>(biased) << 23;
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) + exponent);
}

/// The state of one query's softmax over the keys seen so far.
struct RunningSoftmax {
  float largest;  // score
  float total;    // of 2^((score − largest) · factor)
};

constexpr float kMinusInfinity = -__builtin_inff();

/// Takes `num_visible` (of `num_keys`, a multiple of kColumns) further scores of a query and turns
/// them into weights. Returns the factor that brings earlier sums to the new largest score.
inline float update(RunningSoftmax& state, float* scores, int64_t num_visible, int64_t num_keys,
                    float factor, Element* weights) {
  for (int64_t j = num_visible; j < num_keys; ++j) scores[j] = kMinusInfinity;
  Floats maxima[2] = {load(scores), load(scores + kWidth)};
  for (int64_t j = kColumns; j < num_keys; j += kColumns) {
    maxima[0] = maximum(maxima[0], load(scores + j));
    maxima[1] = maximum(maxima[1], load(scores + j + kWidth));
  }
  const float block_largest = largest(maximum(maxima[0], maxima[1]));
  const float before = state.largest;
  if (block_largest > before) state.largest = block_largest;
  const float shift = state.largest * factor;
  Floats totals[2] = {};
  for (int64_t j = 0; j < num_keys; j += kColumns) {
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t at = j + half * kWidth;
      const Floats weight = power_of_two(load(scores + at) * factor - shift);
      totals[half] += weight;
      Products::store_weights(weights + at, weight);
    }
  }
  // Exactly nothing of what is hidden, not 2^-126 of it.
  for (int64_t j = num_visible; j < num_keys; ++j) weights[j] = Element{};
  const float correction = before == state.largest
                               ? 1.0f
                               : power_of_two(broadcast((before - state.largest) * factor))[0];
  state.total = state.total * correction + sum(totals[0] + totals[1]);
  return correction;
}

inline void scale_row(float* row, int64_t size, float factor) {
  for (int64_t i = 0; i < size; i += kWidth) store(row + i, load(row + i) * factor);
}

template <class Out>
inline void write_row(const float* sums, float factor, int64_t size, Out* out) {
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) store(out + i, load(sums + i) * factor);
  if (i < size) store_part(out + i, load_part(sums + i, size - i) * factor, size - i);
}

void attend_block(const QueryBlock& block, const void* packed, void* memory) {
  const PackedShape shape(block.num_keys, block.head_size);
  const Scratch scratch(memory, shape);
  const Element* const k = static_cast<const Element*>(packed);
  const Element* const v = k + shape.key_elements();
  const int64_t rows = round_up(block.num_queries, Products::kRows);
  const int64_t num_visible_at_end =
      least(block.num_keys, block.num_visible + (block.causal ? block.num_queries - 1 : 0));
  constexpr int64_t kKeys = Products::kKeys;
  // Scores become exponents of 2: a multiplication less for each.
  const float factor = block.scale * 1.44269504f;

  // The rows of a head lie far apart: asked for together, their ways from memory overlap.
  const int64_t element_bytes = block.is_bfloat16 ? 2 : 4;
  for (int64_t i = 0; i < block.num_queries; ++i) {
    const char* row = static_cast<const char*>(block.q) + i * block.q_stride * element_bytes;
    for (int64_t at = 0; at < block.head_size * element_bytes; at += 64) {
      __builtin_prefetch(row + at);
    }
  }
  std::memset(scratch.sums, 0, rows * shape.columns * sizeof(float));
  std::memset(scratch.queries, 0, rows * shape.depth * sizeof(Element));
  std::memset(scratch.weights + block.num_queries * kKeys, 0,
              (rows - block.num_queries) * kKeys * sizeof(Element));
  RunningSoftmax states[Products::kQueries];
  for (int64_t i = 0; i < block.num_queries; ++i) {
    states[i] = {kMinusInfinity, 0};
    convert_row(block.q, block.is_bfloat16, i * block.q_stride, block.head_size,
                scratch.queries + i * shape.depth);
  }

  Products::begin();
  for (int64_t first = 0; first < num_visible_at_end; first += kKeys) {
    const int64_t num_keys = least(kKeys, round_up(num_visible_at_end - first, kColumns));
    for (int64_t j = 0; j < num_keys; j += kColumns) {
      Products::multiply(rows, shape.depth, scratch.queries, shape.depth,
                         k + (first + j) * shape.depth, kColumns, scratch.scores + j, kKeys,
                         /*accumulate=*/false);
    }
    for (int64_t i = 0; i < block.num_queries; ++i) {
      const int64_t num_visible =
          least(num_visible_at_end, block.num_visible + (block.causal ? i : 0));
      Element* weights = scratch.weights + i * kKeys;
      if (num_visible <= first) {
        std::memset(weights, 0, num_keys * sizeof(Element));
        continue;
      }
      const float correction =
          update(states[i], scratch.scores + i * kKeys, least(num_visible - first, num_keys),
                 num_keys, factor, weights);
      if (correction != 1) scale_row(scratch.sums + i * shape.columns, shape.columns, correction);
    }
    for (int64_t d = 0; d < shape.columns; d += kColumns) {
      Products::multiply(rows, num_keys, scratch.weights, kKeys,
                         v + first * shape.columns + d * kPair, shape.columns, scratch.sums + d,
                         shape.columns, /*accumulate=*/true);
    }
  }
  Products::end();

  for (int64_t i = 0; i < block.num_queries; ++i) {
    const float* sums = scratch.sums + i * shape.columns;
    const bool sees_nothing =
        least(block.num_keys, block.num_visible + (block.causal ? i : 0)) <= 0;
    const float inverse = sees_nothing ? 0.0f : 1.0f / states[i].total;
    const int64_t at = i * block.out_stride;
    if (block.out_is_bfloat16) {
      write_row(sums, inverse, block.head_size, static_cast<BFloat16*>(block.out) + at);
    } else {
      write_row(sums, inverse, block.head_size, static_cast<float*>(block.out) + at);
    }
  }
}

constexpr AttentionKernels kVectorAttention = {Products::kQueries, kColumns,    packed_bytes, pack,
                                               scratch_bytes,      attend_block};

}  // namespace
}  // namespace e5v::detail
