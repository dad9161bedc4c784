#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace e5v::detail {

/// f(x), of which only x is kept: computed without recording gradients, and a second time,
/// recorded, once its gradient is asked for (Chen et al. 2016; "gradient checkpointing").
///
/// `f` maps a tensor to a tensor, gives the same values each time it is called, and may overwrite
/// its argument where no gradient is recorded. Parameters inside it get their gradients in `.grad`.
/// It must stay callable until the backward pass is over. Where no gradient is recorded this is
/// f(x).
at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> f, const at::Tensor& x);

}  // namespace e5v::detail
