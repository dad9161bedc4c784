#include "e5v/nn/recompute.h"

#include <gmock/gmock.h>

#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

class RecomputeTest : public ::testing::Test {
 protected:
  RecomputeTest() {
    at::manual_seed(6);
    weight_ = at::randn({4, 4}).requires_grad_();
  }

  /// Overwrites its argument where that is allowed, as the model's layers do.
  at::Tensor layer(const at::Tensor& x) {
    ++num_calls_;
    const at::Tensor y = at::tanh(at::mm(x, weight_));
    if (at::GradMode::is_enabled()) return x + y;
    return at::Tensor(x).add_(y);
  }

  /// Gradients of two layers' sum in the weight and, if it wants one, in x.
  std::vector<at::Tensor> gradients(at::Tensor x, bool recomputed) {
    weight_.mutable_grad() = at::Tensor();
    const auto f = [this](const at::Tensor& states) { return layer(states); };
    at::Tensor y = x;
    for (int i = 0; i < 2; ++i) y = recomputed ? recompute(f, y) : f(y);
    y.square().sum().backward();
    std::vector<at::Tensor> result = {weight_.grad().clone()};
    if (x.requires_grad()) result.push_back(x.grad().clone());
    return result;
  }

  at::Tensor weight_;
  int num_calls_ = 0;
};

TEST_F(RecomputeTest, GradientsAreThoseOfThePlainFunction) {
  const at::Tensor x = at::randn({3, 4});
  const auto plain = gradients(x.clone().requires_grad_(), false);
  num_calls_ = 0;
  const auto again = gradients(x.clone().requires_grad_(), true);
  EXPECT_EQ(num_calls_, 4);
  EXPECT_THAT(again[0], AllClose(plain[0], 1e-5));
  EXPECT_THAT(again[1], AllClose(plain[1], 1e-5));
}

TEST_F(RecomputeTest, ParametersGetGradientsWhereTheInputHasNone) {
  const at::Tensor x = at::randn({3, 4});
  EXPECT_THAT(gradients(x, true)[0], AllClose(gradients(x, false)[0], 1e-5));
}

TEST_F(RecomputeTest, TheInputIsNotOverwritten) {
  const at::Tensor x = at::randn({3, 4}), before = x.clone();
  gradients(x, true);
  EXPECT_TRUE(at::equal(x, before));
}

TEST_F(RecomputeTest, WithoutGradientsItIsTheFunction) {
  const at::NoGradGuard no_grad;
  const at::Tensor y =
      recompute([this](const at::Tensor& x) { return layer(x); }, at::randn({3, 4}));
  EXPECT_FALSE(y.requires_grad());
  EXPECT_EQ(num_calls_, 1);
}

}  // namespace
}  // namespace e5v::detail
