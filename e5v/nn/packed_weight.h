#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace e5v::detail {

struct Int8Tensor;

/// A [out_features, in_features] weight in the order in which oneDNN's matrix product reads it on
/// this CPU: packed once, then only multiplied.
///
/// Products take both operands in the weight's precision and accumulate in fp32 (int32 for int8).
/// Rows are multiplied in groups of few different sizes, so that a row of the result hardly depends
/// on the rows beside it: in int8 and (from AVX-512 on) fp32 not at all, to the bit; in bf16 by the
/// order of fp32 additions (~1e-6 of the largest result), which oneDNN chooses by the group's size.
///
/// kChar makes the weight's columns equally large and gives x what they lose, rotates both
/// (kernels/quantize.h) and rounds them to 8 bits, the weight with one scale for each output
/// feature, x with one for each row. So neither columns nor channels of another size than the rest
/// take bits from it, and nothing needs to be calibrated.
///
/// On a CPU without bf16 arithmetic, kBFloat16 still halves the memory: blocks of the weight are
/// widened to fp32 as they are used; so are those of kChar on a CPU without exact products of 8-bit
/// integers (x86-64 before VNNI).
///
/// Immutable; `matmul` may run concurrently. Uses at::get_num_threads() threads.
class PackedWeight {
 public:
  /// weight [out_features, in_features], float32/bfloat16/float16, CPU, rows contiguous. Converted
  /// in blocks of rows: peak memory is the packed weight and one block (for int8: twice it).
  /// `dtype` of the operands: kFloat, kBFloat16 or kChar. Throws InputError for another shape,
  /// dtype or device.
  PackedWeight(const at::Tensor& weight, at::ScalarType dtype);
  /// kChar, of a weight that was rounded before (quantized_weight.h), here in parts end to end that
  /// share their channels: the same bits as of the weight itself. The parts are read once, in
  /// place. Throws InputError if their tensors do not fit each other.
  explicit PackedWeight(const std::vector<Int8Tensor>& parts);
  PackedWeight(PackedWeight&&) noexcept;
  PackedWeight& operator=(PackedWeight&&) noexcept;
  ~PackedWeight();

  /// y = x Wᵀ + bias, or y += x Wᵀ + bias with `accumulate` (a residual for free).
  ///   x     [T, in_features] float32 or bfloat16, rows contiguous (a stride between rows is fine)
  ///   bias  [out_features] float32, or undefined
  ///   y     [T, out_features] float32 or bfloat16, contiguous, written in place;
  ///         float32 where `accumulate`
  /// Throws InputError where shapes or dtypes differ from that. T = 0 is allowed.
  void matmul(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& y,
              bool accumulate = false) const;

  /// As above into a new tensor of `out_dtype`.
  at::Tensor matmul(const at::Tensor& x, const at::Tensor& bias, at::ScalarType out_dtype) const;

  /// The weight as [out_features, in_features] of `dtype`, contiguous.
  at::Tensor unpack(at::ScalarType dtype) const;

  /// True if this CPU multiplies bf16 faster than fp32 (AVX512-BF16 or AMX).
  static bool has_native_bfloat16();

  int64_t in_features() const;
  int64_t out_features() const;
  at::ScalarType dtype() const;
  /// Bytes held, padding included.
  size_t num_bytes() const;

 private:
  struct Impl;  // keeps oneDNN's headers out of this one
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v::detail
