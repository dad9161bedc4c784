#pragma once

#include <ATen/ATen.h>

#include "e5v/kernels/bfloat16.h"
#include "e5v/nn/compat.h"

namespace e5v {

/// Whether the kernels (pointers to fp32 or bf16 in main memory) may take these tensors: no
/// gradient is recorded and each is a CPU tensor of such a dtype with adjacent elements in its last
/// dimension.
template <class... Tensors>
bool fit_kernels(const Tensors&... tensors) {
  const auto fits = [](const at::Tensor& x) {
    return x.device().is_cpu() && x.dim() > 0 && x.stride(-1) == 1 &&
           (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
  };
  return !tracks_gradients(tensors...) && (fits(tensors) && ...);
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

}  // namespace e5v
