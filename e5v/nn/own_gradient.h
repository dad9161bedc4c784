#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

namespace e5v::detail {

/// `y`, which was computed from `inputs` without recording, with a backward of its own.
///   backward(dy)  the gradient of each input, in their order; undefined where it has none.
///                 Called once at most, without recording; it may hold the inputs, but not `y`.
/// Where no gradient is recorded, or no input has one, this is `y`.
at::Tensor with_own_gradient(at::Tensor y, const std::vector<at::Tensor>& inputs,
                             std::function<std::vector<at::Tensor>(const at::Tensor& dy)> backward);

}  // namespace e5v::detail
