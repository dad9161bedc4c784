#include "e5v/nn/own_gradient.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/nn/compat.h"

namespace e5v::detail {
namespace {

using torch::autograd::variable_list;

class OwnGradientNode final : public torch::autograd::Node {
 public:
  using Backward = std::function<std::vector<at::Tensor>(const at::Tensor&)>;

  explicit OwnGradientNode(Backward backward) : backward_(std::move(backward)) {}

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(num_outputs());
    E5V_ASSERT(backward_ != nullptr);
    const at::NoGradGuard no_grad;
    return backward_(gradients[0]);
  }

  void release_variables() override { backward_ = nullptr; }

 private:
  Backward backward_;
};

}  // namespace

at::Tensor with_own_gradient(
    at::Tensor y, const std::vector<at::Tensor>& inputs,
    std::function<std::vector<at::Tensor>(const at::Tensor& dy)> backward) {
  const bool is_recorded = std::any_of(inputs.begin(), inputs.end(), [](const at::Tensor& input) {
    return tracks_gradients(input);
  });
  if (!is_recorded) return y;
  const auto node = std::make_shared<OwnGradientNode>(std::move(backward));
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(y, node);
  return y;
}

}  // namespace e5v::detail
