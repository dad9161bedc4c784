// All that this program asks of oneDNN, and the only place that knows its versions: 2.6 (Debian 12)
// and 3.x. Included by sources of nn/ only.
#pragma once

#include <compare>
#include <cstdint>
#include <dnnl.hpp>
#include <memory>

namespace e5v::detail::onednn {

const dnnl::engine& engine();

/// Products of bf16 are faster than those of fp32. Below AVX512-BF16 oneDNN refuses or emulates
/// them.
bool has_native_bf16();

/// A product [rows, in] x [in, out] -> [rows, out], and all on which its generated code depends.
struct MatmulKey {
  int64_t rows, in_features, out_features;
  dnnl::memory::data_type operands, result;
  bool has_bias = false;  ///< [out] fp32

  auto operator<=>(const MatmulKey&) const = default;
};

/// The order of the weights that oneDNN chooses for this product.
dnnl::memory::desc best_weights_order(const MatmulKey& key);

/// A product's generated code, for one thread: whoever wants several runs several.
class Matmul {
 public:
  /// `weights_order` is the order in which the weights lie. Equal products share their code.
  /// Thread-safe. Throws dnnl::error where oneDNN has no such product.
  static std::shared_ptr<const Matmul> find_or_make(const MatmulKey& key,
                                                    const dnnl::memory::desc& weights_order);

  /// x and y contiguous; `bias` null where the key has none. Thread-safe.
  void execute(const void* weights, const void* x, const float* bias, void* y) const;

  explicit Matmul(const dnnl::matmul::primitive_desc& description, int64_t out_features);

 private:
  dnnl::matmul primitive_;
  dnnl::memory::desc x_, weights_, bias_, y_, scratchpad_;
};

}  // namespace e5v::detail::onednn
