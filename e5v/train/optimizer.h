#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "e5v/base/options.h"

namespace e5v::detail {

/// How the learning rate goes after the warm-up.
enum class Schedule { kLinear, kCosine, kConstant };

struct OptimizerOptions {
  /// The highest learning rate, reached after the warm-up.
  double learning_rate = 4e-4;
  /// Steps over which the rate rises from 0.
  int64_t warmup_steps = 100;
  Schedule schedule = Schedule::kLinear;
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  /// Gradients are scaled down to this length together; 0 = never.
  double max_grad_norm = 1;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError.
  void validate() const;
};

/// The learning rate of step `step` (from 1) of `num_steps`, as transformers schedules it: its
/// schedulers advance after the optimizer, so the first step of a warm-up has rate 0.
double learning_rate(const OptimizerOptions& options, int64_t step, int64_t num_steps);

/// A trained tensor and the name by which it is saved.
struct Parameter {
  std::string name;
  at::Tensor value;    ///< a leaf that requires a gradient
  bool decays = true;  ///< by OptimizerOptions::weight_decay
};

/// Scales all gradients so that together they are no longer than `max_norm` (torch's
/// clip_grad_norm_; 0: leaves them). Returns their length before.
double clip_gradients(const std::vector<Parameter>& parameters, double max_norm);

/// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), with torch's order of operations.
class AdamW {
 public:
  AdamW(std::vector<Parameter> parameters, const OptimizerOptions& options);

  /// One update with each parameter's `.grad`; an undefined one counts as zero.
  void step(double learning_rate);
  void clear_gradients();

  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// Everything that the next step depends on besides the parameters: "NAME.exp_avg" and
  /// "NAME.exp_avg_sq". The tensors are the optimizer's own.
  std::map<std::string, at::Tensor> state() const;
  int64_t num_steps() const { return num_steps_; }
  /// Goes on from a state after `num_steps` steps. Throws ConfigError naming the first tensor that
  /// is missing or has another shape.
  void restore(const std::map<std::string, at::Tensor>& state, int64_t num_steps);

 private:
  std::vector<Parameter> parameters_;
  OptimizerOptions options_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_;
  int64_t num_steps_ = 0;
};

}  // namespace e5v::detail
