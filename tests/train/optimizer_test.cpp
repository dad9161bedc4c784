#include "e5v/train/optimizer.h"

#include <gmock/gmock.h>

#include <cmath>

#include "e5v/base/error.h"
#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

TEST(ScheduleTest, WarmsUpFromZeroAndGoesDownLinearly) {
  OptimizerOptions options;
  options.learning_rate = 1;
  options.warmup_steps = 4;
  EXPECT_EQ(learning_rate(options, 1, 14), 0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 3, 14), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(options, 5, 14), 1);
  EXPECT_DOUBLE_EQ(learning_rate(options, 14, 14), 0.1);
}

TEST(ScheduleTest, CosineAndConstantBeginAlikeAndEndApart) {
  OptimizerOptions options;
  options.learning_rate = 2;
  options.warmup_steps = 0;
  options.schedule = Schedule::kCosine;
  EXPECT_DOUBLE_EQ(learning_rate(options, 1, 10), 2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 6, 10), 1);
  options.schedule = Schedule::kConstant;
  EXPECT_DOUBLE_EQ(learning_rate(options, 10, 10), 2);
}

TEST(ScheduleTest, AWarmUpLongerThanTheRunIsNoProblem) {
  OptimizerOptions options;
  options.learning_rate = 1;
  options.warmup_steps = 100;
  EXPECT_DOUBLE_EQ(learning_rate(options, 10, 10), 0.09);
}

Parameter parameter(std::vector<double> values) {
  return {"p", at::tensor(values, at::kFloat).requires_grad_()};
}

TEST(AdamWTest, TwoStepsAreTheFormulaWrittenOut) {
  OptimizerOptions options;
  options.weight_decay = 0.1;
  const Parameter p = parameter({1, -2});
  AdamW optimizer({p}, options);
  double m = 0, v = 0, x = 1;
  for (int step = 1; step <= 2; ++step) {
    const double g = step == 1 ? 0.5 : -3;
    p.value.mutable_grad() = at::tensor({g, 0.0}, at::kFloat);
    optimizer.step(0.01);
    x -= 0.01 * 0.1 * x;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double corrected_m = m / (1 - std::pow(0.9, step)),
                 corrected_v = v / (1 - std::pow(0.999, step));
    x -= 0.01 * corrected_m / (std::sqrt(corrected_v) + 1e-8);
  }
  EXPECT_NEAR(p.value[0].item<double>(), x, 1e-6);
  EXPECT_NEAR(p.value[1].item<double>(), -2 * (1 - 0.001) * (1 - 0.001), 1e-6);
}

TEST(AdamWTest, ARestoredOptimizerGoesOnToTheBit) {
  const OptimizerOptions options;
  const Parameter one = parameter({1, 2, 3}), other = parameter({1, 2, 3});
  AdamW first({one}, options);
  const auto step = [](AdamW& optimizer, double scale) {
    optimizer.parameters()[0].value.mutable_grad() =
        at::tensor({0.3, -0.2, 5.0}, at::kFloat) * scale;
    optimizer.step(0.1);
  };
  step(first, 1);
  {
    const at::NoGradGuard no_grad;
    at::Tensor(other.value).copy_(one.value);
  }
  AdamW second({other}, options);
  second.restore(first.state(), first.num_steps());
  step(first, 2);
  step(second, 2);
  EXPECT_TRUE(at::equal(one.value, other.value));
  EXPECT_THROW(second.restore({}, 1), ConfigError);
}

TEST(ClipGradientsTest, ScalesAllTogetherAndReturnsTheLengthBefore) {
  std::vector<Parameter> parameters = {parameter({0}), parameter({0}), parameter({0})};
  parameters[0].value.mutable_grad() = at::tensor({3.0}, at::kFloat);
  parameters[1].value.mutable_grad() = at::tensor({4.0}, at::kFloat);
  EXPECT_NEAR(clip_gradients(parameters, 0), 5, 1e-6);
  EXPECT_NEAR(clip_gradients(parameters, 1), 5, 1e-6);
  EXPECT_NEAR(parameters[1].value.grad().item<double>(), 0.8, 1e-5);
  EXPECT_NEAR(clip_gradients(parameters, 10), 1, 1e-5);
}

TEST(AdamWTest, WhatDoesNotDecayStaysWhereNoGradientMovesIt) {
  const at::Tensor decays = at::ones({2}), stays = at::ones({2});
  AdamW optimizer({{"decays", decays, true}, {"stays", stays, false}}, {.weight_decay = 0.5});
  optimizer.step(0.1);
  EXPECT_NEAR(decays[0].item<float>(), 0.95, 1e-6);
  EXPECT_EQ(stays[0].item<float>(), 1);
}

}  // namespace
}  // namespace e5v::detail
