#include "e5v/nn/recompute.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <utility>

namespace e5v::detail {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

class RecomputeNode final : public torch::autograd::Node {
 public:
  RecomputeNode(std::function<at::Tensor(const at::Tensor&)> f, const at::Tensor& x)
      : f_(std::move(f)), x_(x, /*is_output=*/false) {}

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return {at::Tensor()};
    const at::AutoGradMode record(true);
    const at::Tensor x = x_.unpack().detach();
    if (task_should_compute_output(0)) x.requires_grad_();
    const at::Tensor y = f_(x);
    if (y.requires_grad()) torch::autograd::backward({y}, {gradients[0]});
    return {x.grad()};
  }

  void release_variables() override { x_.reset_data(); }

 private:
  std::function<at::Tensor(const at::Tensor&)> f_;
  SavedVariable x_;
};

}  // namespace

at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> f, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return f(x);
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = f(x.detach().clone());  // a clone: f may overwrite it
  }
  const auto node = std::make_shared<RecomputeNode>(std::move(f), x);
  node->set_next_edges(torch::autograd::collect_next_edges(x));
  // Even where x itself has no gradient: the parameters inside f have.
  torch::autograd::set_history(y, node);
  return y;
}

}  // namespace e5v::detail
