#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

#include "e5v/train/process_group.h"

namespace e5v::detail {

/// What one step of a contrastive loss gave.
struct BatchResult {
  double loss = 0;
  at::Tensor embeddings;  ///< [rows of all ranks, D], without gradient
};

/// Adds the gradient of loss(all embeddings) to every parameter's `.grad`, holding one
/// micro-batch's intermediate results at a time (GradCache, Gao et al. 2021): the embeddings are
/// computed without gradients, the loss's gradient at each of them, and then each micro-batch once
/// more to carry it on. The gradient is that of the whole batch. With one micro-batch nothing is
/// computed twice.
///   encode(i)  embeddings of micro-batch i, [n_i, D]; the same values at each call
///   loss(E)    a scalar of the embeddings of all micro-batches of all ranks, in that order
/// Over several ranks each has its own micro-batches; the gradients that remain in `.grad` are this
/// rank's share, to be added up. A loss that is not finite is returned as it is, before any
/// gradient is computed.
BatchResult accumulate_gradients(int64_t num_micro_batches,
                                 const std::function<at::Tensor(int64_t)>& encode,
                                 const std::function<at::Tensor(const at::Tensor&)>& loss,
                                 ProcessGroup& group);

}  // namespace e5v::detail
