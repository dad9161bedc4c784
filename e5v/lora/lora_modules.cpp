#include "e5v/lora/lora_modules.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/lora/lora_storage.h"
#include "e5v/nn/tensor_file.h"

namespace e5v::detail {
namespace {

/// Wraps each target's storage.
class LoraApplier final : public ParameterVisitor {
 public:
  LoraApplier(const WeightNames& names, const LoraOptions& options, uint64_t seed,
              const LoraAdapter* start)
      : names_(names),
        options_(options),
        start_(start),
        generator_(at::detail::createCPUGenerator(seed)) {
    result_.dropout = std::make_shared<KeyedDropout>(options.lora_dropout);
  }

  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}

  void linear(const std::string& name, Linear& linear) override {
    const std::string last = name.substr(name.find_last_of('.') + 1);
    const auto& targets = options_.target_modules;
    const bool is_target = names_.in_text_model(name) &&
                           std::find(targets.begin(), targets.end(), last) != targets.end();
    if (!is_target) return;
    LoraModules::Module module = start_ ? continued(name, linear) : fresh(name, linear);
    module.A.requires_grad_();
    module.B.requires_grad_();
    linear.set_weight(std::make_unique<LoraStorage>(linear.take_weight(), module.A, module.B,
                                                    scale(), result_.dropout,
                                                    result_.modules.size()));
    result_.modules.push_back(std::move(module));
  }

  LoraModules finish() {
    if (result_.modules.empty()) {
      throw ConfigError(fmt::format("the language model has no Linear named {}",
                                    fmt::join(options_.target_modules, ", ")));
    }
    if (start_ == nullptr) return std::move(result_);
    std::set<std::string> known;
    for (const auto& module : result_.modules) known.insert(module.name);
    for (const std::string& name : start_->modules()) {
      if (!known.contains(name)) {
        throw ConfigError(
            fmt::format("{}: updates '{}', which is not trained; another model, or "
                        "other target_modules?",
                        start_->path().native(), name));
      }
    }
    return std::move(result_);
  }

 private:
  double scale() const { return options_.lora_alpha / static_cast<double>(options_.lora_rank); }

  LoraModules::Module fresh(const std::string& name, const Linear& linear) {
    // PEFT's kaiming_uniform_(a = sqrt 5) comes to bounds of 1 / sqrt(in).
    const double bound = 1 / std::sqrt(static_cast<double>(linear.in_features()));
    return {name,
            at::empty({options_.lora_rank, linear.in_features()}, at::kFloat)
                .uniform_(-bound, bound, generator_),
            at::zeros({linear.out_features(), options_.lora_rank}, at::kFloat)};
  }

  LoraModules::Module continued(const std::string& name, const Linear& linear) const {
    const LoraWeights* weights = start_->find(name);
    const auto fail = [&](const std::string& problem) {
      throw ConfigError(fmt::format("{}: {}", start_->path().native(), problem));
    };
    if (weights == nullptr) {
      fail(fmt::format("has no update of '{}'; another model, or other target_modules?", name));
    }
    if (weights->A.size(1) != linear.in_features() || weights->B.size(0) != linear.out_features()) {
      fail(
          fmt::format("'{}' updates a [{}, {}] weight, but the model's is [{}, {}]; made for "
                      "another model?",
                      name, weights->B.size(0), weights->A.size(1), linear.out_features(),
                      linear.in_features()));
    }
    if (weights->A.size(0) != options_.lora_rank) {
      fail(fmt::format("'{}' has rank {}, but 'lora_rank' is {}", name, weights->A.size(0),
                       options_.lora_rank));
    }
    if (std::abs(weights->scale - scale()) > 1e-9 * scale()) {
      fail(fmt::format("'{}' is scaled by {}, but 'lora_alpha' / 'lora_rank' is {}", name,
                       weights->scale, scale()));
    }
    return {name, weights->A.clone(), weights->B.clone()};
  }

  const WeightNames& names_;
  const LoraOptions& options_;
  const LoraAdapter* start_;
  at::Generator generator_;
  LoraModules result_;
};

/// A regular expression for what the language model's names begin with.
std::string text_model_pattern(const WeightNames& names) {
  const std::string prefix = names.prefixes_of(PartKind::kTextModel).at(0);
  std::string pattern;
  for (const char c : prefix) {
    if (c == '.') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace

void LoraOptions::register_options(OptionRegistry& registry) {
  registry.add("lora-rank", lora_rank, "Rank of the updates");
  registry.add("lora-alpha", lora_alpha, "Updates are scaled by alpha / rank");
  registry.add("lora-dropout", lora_dropout, "Share of an update's inputs that is dropped");
  registry.add("target-modules", target_modules, "Linears that get an update");
}

void LoraOptions::validate() const {
  if (lora_rank < 1) {
    throw ConfigError(fmt::format("'lora_rank' is {}, expected 1 or more", lora_rank));
  }
  if (!(lora_dropout >= 0 && lora_dropout < 1)) {
    throw ConfigError(
        fmt::format("'lora_dropout' is {}, expected 0 or more and below 1", lora_dropout));
  }
  if (target_modules.empty()) throw ConfigError("'target_modules' is empty");
}

std::vector<std::pair<std::string, at::Tensor>> LoraModules::tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Module& module : modules) {
    const std::string prefix = "base_model.model." + module.name;
    tensors.emplace_back(prefix + ".lora_A.weight", module.A);
    tensors.emplace_back(prefix + ".lora_B.weight", module.B);
  }
  return tensors;
}

LoraModules apply_lora(const std::function<void(ParameterVisitor&)>& visit,
                       const WeightNames& names, const LoraOptions& options, uint64_t seed,
                       const LoraAdapter* start) {
  options.validate();
  const at::NoGradGuard no_grad;
  LoraApplier applier(names, options, seed, start);
  visit(applier);
  return applier.finish();
}

void write_adapter(const std::filesystem::path& folder, const LoraModules& modules,
                   const WeightNames& names, const LoraOptions& options,
                   const std::string& base_model) {
  const auto list = modules.tensors();
  const std::map<std::string, at::Tensor> tensors(list.begin(), list.end());
  write_tensor_file(folder / "adapter_model.safetensors", tensors, {{"format", "pt"}});
  const Json config = {{"base_model_name_or_path", base_model},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"inference_mode", true},
                       {"init_lora_weights", true},
                       {"lora_alpha", options.lora_alpha},
                       {"lora_dropout", options.lora_dropout},
                       {"modules_to_save", nullptr},
                       {"peft_type", "LORA"},
                       {"r", options.lora_rank},
                       // A list would also match the vision tower's projections of the same names.
                       {"target_modules", fmt::format("{}.*\\.({})", text_model_pattern(names),
                                                      fmt::join(options.target_modules, "|"))},
                       {"task_type", "FEATURE_EXTRACTION"},
                       {"use_dora", false},
                       {"use_rslora", false}};
  write_file(folder / "adapter_config.json", config.dump(2) + "\n");
}

}  // namespace e5v::detail
