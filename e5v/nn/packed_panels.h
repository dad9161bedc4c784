// The memory behind PackedWeight. Included by sources of nn/ only.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <optional>

#include "e5v/nn/onednn.h"

namespace e5v::detail {

/// A product with a weight in panels of output features, each in oneDNN's best order and small
/// enough to stay in a core's second-level cache while all rows of x pass by it. One product over
/// the whole weight reads it anew for every block of rows: on AMX, panels are up to 40 % faster.
///
/// in_features and out_features > 0. Immutable; thread-safe.
class PanelProduct {
 public:
  using DataType = dnnl::memory::data_type;

  /// Factors of a product of 8-bit integers: y = (x Wᵀ) · rows · columns + bias.
  struct Scales {
    const float* rows;     ///< [num_rows]
    const float* columns;  ///< [out_features]
  };

  /// Operands of products are of `type`.
  PanelProduct(int64_t in_features, int64_t out_features, DataType type);

  int64_t num_panels() const { return (out_features_ + panel_features_ - 1) / panel_features_; }
  int64_t first_feature(int64_t panel) const { return panel * panel_features_; }
  int64_t num_features(int64_t panel) const;
  /// How the panel [in_features, num_features(panel)] lies in memory.
  const dnnl::memory::desc& order(int64_t panel) const;

  /// Brings a panel's weights into its order, at `packed`. From one input feature to the next it is
  /// `in_stride` values, from one output feature to the next `out_stride`.
  void pack(int64_t panel, const void* values, int64_t in_stride, int64_t out_stride,
            void* packed) const;

  /// Gives a panel's address; the panel stays there until the same thread asks for its next one.
  using FindPanel = std::function<const void*(int64_t panel)>;

  /// As PackedPanels::multiply. Each thread asks for the panels that it takes.
  void multiply(const FindPanel& find_panel, const void* x, int64_t num_rows, const float* bias,
                void* y, DataType result, bool accumulate, std::optional<Scales> scales = {}) const;

  int64_t in_features() const { return in_features_; }
  int64_t out_features() const { return out_features_; }
  DataType type() const { return type_; }

 private:
  /// `multiply` for one group of rows; x has `num_filled_rows`, y `num_rows`.
  void multiply_panel(int64_t panel, const void* address, const void* x, int64_t num_rows,
                      int64_t num_filled_rows, const float* bias, void* y, DataType result,
                      bool accumulate, std::optional<Scales> scales) const;

  int64_t in_features_, out_features_, panel_features_;
  DataType type_;
  dnnl::memory::desc order_, last_order_;
};

/// Whether products of 8-bit integers are exact on this CPU, tried once. Without VNNI (x86-64)
/// oneDNN adds pairs of them in 16 bits, where large ones saturate; then they are to be widened to
/// fp32.
bool has_exact_int8_products();

/// The calling thread's own memory of at least `bytes`, until its next call with the same `which`,
/// 0 or 1.
void* thread_scratch(int which, int64_t bytes);

/// PanelProduct::pack into the calling thread's scratch 0.
const void* pack_for_thread(const PanelProduct& product, int64_t panel, const void* values,
                            int64_t in_stride, int64_t out_stride);

/// A weight that lies in such panels. `multiply` is const and thread-safe.
class PackedPanels {
 public:
  using DataType = PanelProduct::DataType;
  using Scales = PanelProduct::Scales;

  /// Allocates; features are unspecified until packed.
  PackedPanels(int64_t in_features, int64_t out_features, DataType type);

  int64_t num_panels() const { return product_.num_panels(); }
  int64_t first_feature(int64_t panel) const { return product_.first_feature(panel); }
  int64_t num_features(int64_t panel) const { return product_.num_features(panel); }

  /// rows [num_features(panel), in_features] of `type`, contiguous.
  void pack(int64_t panel, const void* rows);
  void unpack(int64_t panel, void* rows) const;

  /// y [num_rows, out_features] = (accumulate ? y : 0) + x [num_rows, in_features] Wᵀ + bias; all
  /// contiguous, x of `type`, y of `result`, bias fp32 or null. With `scales` x and the weight are
  /// s8 and y is f32 or bf16.
  void multiply(const void* x, int64_t num_rows, const float* bias, void* y, DataType result,
                bool accumulate, std::optional<Scales> scales = {}) const;

  size_t num_bytes() const { return data_.nbytes(); }

 private:
  std::byte* address(int64_t panel) const;

  PanelProduct product_;
  int64_t panel_bytes_;
  at::Tensor data_;
};

}  // namespace e5v::detail
