#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "e5v/nn/linear.h"

namespace e5v::detail {

/// x [T, in] rotated and rounded to 8 bits (kernels/quantize.h): x · channels ≈ (values · scales)
/// R.
struct QuantizedRows {
  at::Tensor values;  ///< [T, in] int8
  at::Tensor scales;  ///< [T] fp32
};

/// x of a floating dtype, channels [in] fp32.
QuantizedRows quantize_rows(const at::Tensor& x, const at::Tensor& channels);

/// A weight [out, in] in 8-bit integers: W ≈ (values · scales) R · channels, where R is the
/// rotation of kernels/quantize.h and `channels` the size of each column of W beside the others.
struct Int8Tensor {
  at::Tensor values;    ///< [out, in] int8
  at::Tensor scales;    ///< [out] fp32
  at::Tensor channels;  ///< [in] fp32
};

/// weight [out, in] of a floating dtype, CPU. A row's result depends on that row and `channels`.
Int8Tensor quantize_int8(const at::Tensor& weight);

/// The same in 4-bit integers, in groups of 32 along a row: a value is code · multiplier · scale
/// (kernels/four_bits.h), 4.25 bits each. A row whose size is no multiple of 32 is filled up with
/// zeros.
struct Int4Tensor {
  at::Tensor codes;        ///< [out, 16 G] uint8, G = in / 32 rounded up
  at::Tensor multipliers;  ///< [out, G] uint8
  at::Tensor scales;       ///< [out] fp32
  at::Tensor channels;     ///< [in] fp32
};

/// weight [out, in] of a floating dtype, CPU. Each value is rounded to the nearest, or, with the
/// `inputs` [T, in] (any floating dtype) of such products, so that they change least (gptq.h).
/// Throws InputError where those are not finite.
Int4Tensor quantize_int4(const at::Tensor& weight, const at::Tensor& inputs = {});

/// A weight in 4 bits, for CPU inference: unpacked to 8 bits panel by panel for each product, whose
/// sums are exact integers, as those of an int8 weight (or in fp32, see PackedWeight).
class Int4Storage final : public LinearStorage {
 public:
  /// Throws InputError if the tensors' shapes or dtypes do not fit each other.
  explicit Int4Storage(Int4Tensor weight);

  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override;
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override;
  at::Tensor dense() const override;
  int64_t num_bytes() const override;

 private:
  void multiply(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& y,
                bool accumulate) const;

  Int4Tensor weight_;
};

}  // namespace e5v::detail
