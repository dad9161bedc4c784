#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <vector>

#include "e5v/nn/packed_weight.h"

namespace e5v::detail {

/// How the [out_features, in_features] weight of a Linear lies in memory, and the product with it.
/// Implementations are immutable after construction and thread-safe.
class LinearStorage {
 public:
  virtual ~LinearStorage() = default;

  /// x W^T (+ bias) as `out_dtype`; x [T, in] fp32 or bf16 (or the weight's own dtype), bias [out]
  /// or undefined.
  virtual at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                             at::ScalarType out_dtype) const = 0;

  /// residual += x W^T (+ bias), in place; residual [T, out] fp32. Not differentiable.
  virtual void add_product(const at::Tensor& x, const at::Tensor& bias,
                           at::Tensor& residual) const = 0;

  /// dy W: of the gradient of a product [T, out] that of its x, [T, in] in dy's dtype. For a frozen
  /// weight; not differentiable.
  virtual at::Tensor input_gradient(const at::Tensor& dy) const;

  /// A dense copy (or the tensor itself) of the weight, [out, in].
  virtual at::Tensor dense() const = 0;

  virtual int64_t num_bytes() const = 0;
};

/// A weight in a plain tensor, any device, any floating dtype: differentiable, the form of training
/// and of CUDA. The product runs in the weight's dtype; of bf16 on a CPU that multiplies it, with
/// sums in fp32.
class PlainStorage final : public LinearStorage {
 public:
  explicit PlainStorage(at::Tensor weight) : weight_(std::move(weight)) {}
  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override;
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override;
  at::Tensor input_gradient(const at::Tensor& dy) const override;
  at::Tensor dense() const override { return weight_; }
  int64_t num_bytes() const override { return static_cast<int64_t>(weight_.nbytes()); }

 private:
  at::Tensor weight_;
};

/// A weight packed for oneDNN: CPU inference.
class PackedStorage final : public LinearStorage {
 public:
  explicit PackedStorage(PackedWeight weight) : weight_(std::move(weight)) {}
  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override;
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override;
  at::Tensor dense() const override;
  int64_t num_bytes() const override { return weight_.num_bytes(); }

 private:
  PackedWeight weight_;
};

/// y = x W^T + b. Holds its shape from the start and its weight from `set_weight` on.
class Linear {
 public:
  Linear() = default;
  Linear(int64_t in_features, int64_t out_features, bool has_bias);

  int64_t in_features() const { return in_features_; }
  int64_t out_features() const { return out_features_; }
  bool has_bias() const { return has_bias_; }

  /// The weight's shape in checkpoints: [out, in], or a convolution's [out, channels, p, p].
  const std::vector<int64_t>& checkpoint_shape() const { return checkpoint_shape_; }
  void set_checkpoint_shape(std::vector<int64_t> shape) { checkpoint_shape_ = std::move(shape); }

  void set_weight(std::unique_ptr<LinearStorage> storage) { storage_ = std::move(storage); }
  /// Gives the weight away, e.g. to put a storage around it.
  std::unique_ptr<LinearStorage> take_weight() { return std::move(storage_); }
  void set_bias(at::Tensor bias) { bias_ = std::move(bias); }
  bool is_loaded() const { return storage_ != nullptr; }
  const LinearStorage& storage() const;
  const at::Tensor& bias() const { return bias_; }

  /// x [T, in] -> [T, out] of `out_dtype`.
  at::Tensor forward(const at::Tensor& x, at::ScalarType out_dtype = at::kFloat) const;

  /// residual + forward(x), [T, out] fp32. Overwrites `residual` where no gradient is recorded.
  at::Tensor add_to(const at::Tensor& residual, const at::Tensor& x) const;

 private:
  int64_t in_features_ = 0;
  int64_t out_features_ = 0;
  bool has_bias_ = false;
  std::vector<int64_t> checkpoint_shape_;
  std::unique_ptr<LinearStorage> storage_;
  at::Tensor bias_;  // [out] fp32, undefined without bias
};

}  // namespace e5v::detail
