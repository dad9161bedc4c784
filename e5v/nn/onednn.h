// All that this program asks of oneDNN, and the only place that knows its versions: 2.6 (Debian 12)
// and 3.x. Included by sources of nn/ only.
#pragma once

#include <compare>
#include <cstdint>
#include <dnnl.hpp>

namespace e5v::onednn {

const dnnl::engine& engine();

/// Products of bf16 are faster than those of fp32. Below AVX512-BF16 oneDNN refuses or emulates
/// them.
bool has_native_bf16();

/// A product [rows, in] x [in, out] -> [rows, out], and all on which its generated code depends.
struct MatmulKey {
  int64_t rows, in_features, out_features;
  dnnl::memory::data_type operands, result;
  int64_t result_stride;    ///< elements between rows of the result
  bool has_bias = false;    ///< [out] fp32
  bool accumulate = false;  ///< add to the result

  auto operator<=>(const MatmulKey&) const = default;
};

/// The order of the weights that oneDNN chooses for this product.
dnnl::memory::desc best_weights_order(const MatmulKey& key);

/// Computes it; `weights` is the order in which they lie. x and y row-major. Generated code is kept
/// and shared by all products with an equal key. Thread-safe.
void matmul(const MatmulKey& key, const dnnl::memory::desc& weights_order, const void* weights,
            const void* x, const float* bias, void* y);

}  // namespace e5v::onednn
