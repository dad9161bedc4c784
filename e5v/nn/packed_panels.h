// The memory behind PackedWeight. Included by sources of nn/ only.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "e5v/nn/onednn.h"

namespace e5v {

/// A weight as panels of output features, each in oneDNN's best order and small enough to stay in a
/// core's second-level cache while all rows of x pass by it. One product over the whole weight
/// reads it anew for every block of rows: on AMX, panels are up to 40 % faster.
///
/// in_features and out_features > 0. `multiply` is const and thread-safe.
class PackedPanels {
 public:
  using DataType = dnnl::memory::data_type;

  /// Factors of a product of 8-bit integers: y = (x Wᵀ) · rows · columns + bias.
  struct Scales {
    const float* rows;     ///< [num_rows]
    const float* columns;  ///< [out_features]
  };

  /// Allocates; features are unspecified until packed. Operands of products are of `type`.
  PackedPanels(int64_t in_features, int64_t out_features, DataType type);

  int64_t num_panels() const { return (out_features_ + panel_features_ - 1) / panel_features_; }
  int64_t first_feature(int64_t panel) const { return panel * panel_features_; }
  int64_t num_features(int64_t panel) const;

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
  /// `multiply` for one group of rows; x has `num_filled_rows`, y `num_rows`.
  void multiply_panel(int64_t panel, const void* x, int64_t num_rows, int64_t num_filled_rows,
                      const float* bias, void* y, DataType result, bool accumulate,
                      std::optional<Scales> scales) const;
  const dnnl::memory::desc& order(int64_t panel) const;
  std::byte* address(int64_t panel) const;

  int64_t in_features_, out_features_, panel_features_;
  DataType type_;
  dnnl::memory::desc order_, last_order_;
  int64_t panel_bytes_;
  at::Tensor data_;
};

}  // namespace e5v
