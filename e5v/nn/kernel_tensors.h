#pragma once

#include <ATen/ATen.h>

#include "e5v/kernels/bfloat16.h"
#include "e5v/nn/compat.h"

namespace e5v::detail {

/// Whether kernels (pointers to fp32 or bf16 in main memory) can read these tensors: each is on the
/// CPU, of such a dtype, with adjacent elements in its last dimension.
template <class... Tensors>
bool are_kernel_operands(const Tensors&... tensors) {
  const auto fits = [](const at::Tensor& x) {
    return x.device().is_cpu() && x.dim() > 0 && x.stride(-1) == 1 &&
           (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
  };
  return (fits(tensors) && ...);
}

/// The same for kernels that have no backward: no gradient may be recorded.
template <class... Tensors>
bool fit_kernels(const Tensors&... tensors) {
  return !tracks_gradients(tensors...) && are_kernel_operands(tensors...);
}

inline float* float_data(const at::Tensor& x) { return x.data_ptr<float>(); }

inline BFloat16* bfloat16_data(const at::Tensor& x) {
  return reinterpret_cast<BFloat16*>(x.data_ptr<at::BFloat16>());
}

/// function(pointer to x's elements), whichever of the two types they have.
template <class Function>
void with_data(const at::Tensor& x, const Function& function) {
  if (x.scalar_type() == at::kBFloat16) {
    function(bfloat16_data(x));
  } else {
    function(float_data(x));
  }
}

}  // namespace e5v::detail
