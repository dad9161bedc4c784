#pragma once

#include <ATen/ATen.h>
#include <torch/version.h>

namespace e5v::detail {

/// True where autograd would record an operation on one of `tensors`: the plain, differentiable
/// form of a function is then taken, else the fused one.
template <class... Tensors>
bool tracks_gradients(const Tensors&... tensors) {
  return at::GradMode::is_enabled() && ((tensors.defined() && tensors.requires_grad()) || ...);
}

}  // namespace e5v::detail
