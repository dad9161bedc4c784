#include <algorithm>
#include <cmath>

#include "e5v/kernels/attention_kernels.h"
#include "e5v/kernels/bfloat16.h"

namespace e5v::detail {
namespace {

float element(const void* data, bool is_bfloat16, int64_t index) {
  return is_bfloat16 ? to_float(static_cast<const BFloat16*>(data)[index])
                     : static_cast<const float*>(data)[index];
}

size_t round_up_64(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t packed_bytes(int64_t num_keys, int64_t head_size) {
  return round_up_64(2 * num_keys * head_size * sizeof(float));
}

/// Packed: [num_keys, Dh] keys, then values, in fp32.
void pack(const KeyValueHead& head, int64_t begin, int64_t end, void* packed) {
  float* k = static_cast<float*>(packed);
  float* v = k + head.num_keys * head.head_size;
  for (int64_t j = begin; j < end; ++j) {
    for (int64_t d = 0; d < head.head_size; ++d) {
      k[j * head.head_size + d] = element(head.k, head.is_bfloat16, j * head.k_stride + d);
      v[j * head.head_size + d] = element(head.v, head.is_bfloat16, j * head.v_stride + d);
    }
  }
}

size_t scratch_bytes(int64_t num_keys, int64_t head_size) {
  return round_up_64((num_keys + head_size) * sizeof(float));
}

/// The textbook's form, query after query.
void attend_block(const QueryBlock& block, const void* packed, void* scratch) {
  const float* k = static_cast<const float*>(packed);
  const float* v = k + block.num_keys * block.head_size;
  float* weights = static_cast<float*>(scratch);
  float* sums = weights + block.num_keys;
  for (int64_t i = 0; i < block.num_queries; ++i) {
    const int64_t num_visible =
        std::min(block.num_keys, block.num_visible + (block.causal ? i : 0));
    float largest = -INFINITY;
    for (int64_t j = 0; j < num_visible; ++j) {
      double dot = 0;
      for (int64_t d = 0; d < block.head_size; ++d) {
        dot += element(block.q, block.is_bfloat16, i * block.q_stride + d) *
               k[j * block.head_size + d];
      }
      weights[j] = static_cast<float>(dot) * block.scale;
      largest = std::max(largest, weights[j]);
    }
    double total = 0;
    for (int64_t j = 0; j < num_visible; ++j) {
      weights[j] = std::exp(weights[j] - largest);
      total += weights[j];
    }
    std::fill_n(sums, block.head_size, 0.0f);
    for (int64_t j = 0; j < num_visible; ++j) {
      for (int64_t d = 0; d < block.head_size; ++d) {
        sums[d] += weights[j] * v[j * block.head_size + d];
      }
    }
    for (int64_t d = 0; d < block.head_size; ++d) {
      const float result = num_visible > 0 ? static_cast<float>(sums[d] / total) : 0.0f;
      const int64_t at = i * block.out_stride + d;
      if (block.out_is_bfloat16) {
        static_cast<BFloat16*>(block.out)[at] = to_bfloat16(result);
      } else {
        static_cast<float*>(block.out)[at] = result;
      }
    }
  }
}

}  // namespace

const AttentionKernels kGenericAttention = {16, 1, packed_bytes, pack, scratch_bytes, attend_block};

}  // namespace e5v::detail
