#include "e5v/train/grad_cache.h"

#include <cmath>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {

BatchResult accumulate_gradients(int64_t num_micro_batches,
                                 const std::function<at::Tensor(int64_t)>& encode,
                                 const std::function<at::Tensor(const at::Tensor&)>& loss,
                                 ProcessGroup& group) {
  std::vector<at::Tensor> embeddings;
  at::Tensor single;  // of the only micro-batch, still with its graph
  if (num_micro_batches == 1) {
    single = encode(0);
    embeddings.push_back(single.detach());
  } else {
    const at::NoGradGuard no_grad;
    for (int64_t i = 0; i < num_micro_batches; ++i) embeddings.push_back(encode(i));
  }
  const at::Tensor local = at::cat(embeddings);
  const at::Tensor counts = group.gather_rows(at::tensor({local.size(0)}, at::kLong));
  const int64_t begin = counts.slice(0, 0, group.rank()).sum().item<int64_t>();

  // Every rank computes the loss of the whole batch and keeps the gradient of its own rows.
  const at::Tensor all = group.gather_rows(local).detach().clone();
  all.requires_grad_();
  const at::Tensor value = loss(all);
  const BatchResult result{.loss = value.item<double>(), .embeddings = all.detach()};
  if (!std::isfinite(result.loss)) return result;
  value.backward();
  const at::Tensor gradient = all.grad().slice(0, begin, begin + local.size(0));
  if (single.defined()) {
    single.backward(gradient);
    return result;
  }
  int64_t row = 0;
  for (int64_t i = 0; i < num_micro_batches; ++i) {
    const at::Tensor again = encode(i);
    again.backward(gradient.slice(0, row, row + again.size(0)));
    row += again.size(0);
  }
  return result;
}

}  // namespace e5v::detail
