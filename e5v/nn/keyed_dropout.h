#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>

namespace e5v::detail {

/// Dropout whose choice is a function of seed, step, token, module and feature, never of the order
/// of computation: micro-batches, recomputed layers, several processes and a resumed run all see
/// the same mask. One object is shared by all LoRA layers of a model.
class KeyedDropout {
 public:
  /// Drops a share of `probability` in [0, 1), in steps of 2^-16, and scales the rest up.
  explicit KeyedDropout(double probability);

  /// What the following products are about.
  ///   token_keys  [T] int64, one for each token, e.g. a hash of seed, step, sequence and position
  ///   last_keys   [B] int64, those of the sequences' last tokens, which alone the last layer needs
  void begin(at::Tensor token_keys, at::Tensor last_keys);
  /// From now on nothing is dropped (evaluation).
  void end();

  /// Which features of which rows are dropped, until begin and end are forgotten: a value.
  class Mask {
   public:
    Mask() = default;  ///< drops nothing
    /// x [rows, D] fp32 or bf16 with features dropped and the others scaled; linear in x, and its
    /// own transpose. Not differentiable.
    at::Tensor apply(const at::Tensor& x) const;

   private:
    friend class KeyedDropout;
    Mask(at::Tensor keys, uint64_t module, uint32_t threshold)
        : keys_(std::move(keys)), module_(module), threshold_(threshold) {}

    at::Tensor keys_;
    uint64_t module_ = 0;
    uint32_t threshold_ = 0;
  };

  /// Of all T tokens or of the B last ones; `module` tells layers apart.
  Mask mask(int64_t num_rows, uint64_t module) const;

 private:
  uint32_t threshold_;  // of 2^16: values below it are dropped
  at::Tensor token_keys_, last_keys_;
};

}  // namespace e5v::detail
