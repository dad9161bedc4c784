#include "e5v/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {

void OptimizerOptions::register_options(OptionRegistry& registry) {
  registry.add("learning-rate", learning_rate, "The highest learning rate");
  registry.add("warmup-steps", warmup_steps, "Steps over which the learning rate rises from 0");
  registry.add("schedule", schedule,
               {{"linear", Schedule::kLinear},
                {"cosine", Schedule::kCosine},
                {"constant", Schedule::kConstant}},
               "How the learning rate goes after the warm-up");
  registry.add("weight-decay", weight_decay, "Decoupled weight decay");
  registry.add("adam-beta1", adam_beta1, "Decay of the gradients' running mean");
  registry.add("adam-beta2", adam_beta2, "Decay of the squared gradients' running mean");
  registry.add("adam-epsilon", adam_epsilon, "Added to the denominator of an update");
  registry.add("max-grad-norm", max_grad_norm, "Longest gradient; 0 = as it comes");
}

void OptimizerOptions::validate() const {
  const auto require = [](bool holds, std::string_view field, double value, std::string_view rule) {
    if (!holds) throw ConfigError(fmt::format("'{}' is {}, expected {}", field, value, rule));
  };
  const auto is_share = [](double value) { return value >= 0 && value < 1; };
  require(learning_rate >= 0 && std::isfinite(learning_rate), "learning_rate", learning_rate,
          "0 or more");
  require(warmup_steps >= 0, "warmup_steps", static_cast<double>(warmup_steps), "0 or more");
  require(weight_decay >= 0, "weight_decay", weight_decay, "0 or more");
  require(is_share(adam_beta1), "adam_beta1", adam_beta1, "0 or more and below 1");
  require(is_share(adam_beta2), "adam_beta2", adam_beta2, "0 or more and below 1");
  require(adam_epsilon > 0, "adam_epsilon", adam_epsilon, "more than 0");
  require(max_grad_norm >= 0, "max_grad_norm", max_grad_norm, "0 or more");
}

double learning_rate(const OptimizerOptions& options, int64_t step, int64_t num_steps) {
  const int64_t done = step - 1;
  if (done < options.warmup_steps) {
    return options.learning_rate * static_cast<double>(done) /
           static_cast<double>(options.warmup_steps);
  }
  const auto after_warmup =
      static_cast<double>(std::max<int64_t>(num_steps - options.warmup_steps, 1));
  const double progress =
      std::min(static_cast<double>(done - options.warmup_steps) / after_warmup, 1.0);
  switch (options.schedule) {
    case Schedule::kLinear:
      return options.learning_rate * (1 - progress);
    case Schedule::kCosine:
      return options.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    case Schedule::kConstant:
      return options.learning_rate;
  }
  throw_broken_invariant("schedule is an enumerator", __FILE__, __LINE__);
}

double clip_gradients(const std::vector<Parameter>& parameters, double max_norm) {
  std::vector<at::Tensor> norms;
  for (const Parameter& parameter : parameters) {
    if (parameter.value.grad().defined()) norms.push_back(parameter.value.grad().norm());
  }
  if (norms.empty()) return 0;
  const double norm = at::stack(norms).norm().item<double>();
  const double scale = max_norm / (norm + 1e-6);
  if (max_norm > 0 && scale < 1) {
    for (const Parameter& parameter : parameters) {
      if (parameter.value.grad().defined()) parameter.value.mutable_grad().mul_(scale);
    }
  }
  return norm;
}

AdamW::AdamW(std::vector<Parameter> parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Parameter& parameter : parameters_) {
    exp_avg_.push_back(at::zeros_like(parameter.value));
    exp_avg_sq_.push_back(at::zeros_like(parameter.value));
  }
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  ++num_steps_;
  const auto steps = static_cast<double>(num_steps_);
  const double correction1 = 1 - std::pow(options_.adam_beta1, steps);
  const double correction2_root = std::sqrt(1 - std::pow(options_.adam_beta2, steps));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& value = parameters_[i].value;
    at::Tensor gradient = value.grad();
    if (!gradient.defined()) gradient = at::zeros_like(value);
    if (options_.weight_decay != 0 && parameters_[i].decays) {
      value.mul_(1 - learning_rate * options_.weight_decay);
    }
    exp_avg_[i].lerp_(gradient, 1 - options_.adam_beta1);
    exp_avg_sq_[i].mul_(options_.adam_beta2).addcmul_(gradient, gradient, 1 - options_.adam_beta2);
    const at::Tensor denominator =
        exp_avg_sq_[i].sqrt().div_(correction2_root).add_(options_.adam_epsilon);
    value.addcdiv_(exp_avg_[i], denominator, -learning_rate / correction1);
  }
}

void AdamW::clear_gradients() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

std::map<std::string, at::Tensor> AdamW::state() const {
  std::map<std::string, at::Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state[parameters_[i].name + ".exp_avg"] = exp_avg_[i];
    state[parameters_[i].name + ".exp_avg_sq"] = exp_avg_sq_[i];
  }
  return state;
}

void AdamW::restore(const std::map<std::string, at::Tensor>& state, int64_t num_steps) {
  for (auto& [name, own] : this->state()) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != own.sizes()) {
      throw ConfigError(
          fmt::format("the optimizer's state '{}' is missing or has another shape", name));
    }
    own.copy_(found->second);
  }
  num_steps_ = num_steps;
}

}  // namespace e5v::detail
