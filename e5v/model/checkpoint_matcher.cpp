#include "e5v/model/checkpoint_matcher.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "e5v/base/error.h"
#include "e5v/model/precision_forms.h"
#include "e5v/nn/linear.h"

namespace e5v::detail {
namespace {

bool shapes_fit(std::span<const int64_t> stored, at::IntArrayRef expected) {
  return std::equal(stored.begin(), stored.end(), expected.begin(), expected.end(),
                    [](int64_t a, int64_t b) { return b == -1 || a == b; });
}

std::string show_shape(std::span<const int64_t> shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(size == -1 ? "any" : fmt::to_string(size));
  return fmt::format("[{}]", fmt::join(sizes, ", "));
}

}  // namespace

CheckpointMatcher::CheckpointMatcher(const Checkpoint& checkpoint, const WeightNames& names,
                                     std::optional<Precision> stored)
    : checkpoint_(checkpoint), names_(names), stored_(stored) {
  for (const std::string& name : checkpoint.names()) {
    unclaimed_.emplace(names.canonical(name), name);
  }
}

void CheckpointMatcher::tensor(const std::string& name, at::Tensor&, at::IntArrayRef shape) {
  expect(name, shape);
}

void CheckpointMatcher::linear(const std::string& name, Linear& linear) {
  const std::vector<FormTensor> rounded = rounded_tensors(names_, name, linear, stored_);
  if (rounded.empty()) expect(name + ".weight", linear.checkpoint_shape());
  for (const FormTensor& tensor : rounded) expect(name + ".weight" + tensor.suffix, tensor.shape);
  if (linear.has_bias()) expect(name + ".bias", {linear.out_features()});
}

void CheckpointMatcher::unused(const std::string& name) { unused_.push_back(name); }

void CheckpointMatcher::expect(const std::string& name, at::IntArrayRef shape) {
  const auto found = unclaimed_.find(name);
  if (found == unclaimed_.end()) {
    report_.missing.push_back(name);
    return;
  }
  const TensorView stored = *checkpoint_.find(found->second);
  if (shapes_fit(stored.shape, shape)) {
    report_.sources.emplace(name, found->second);
  } else {
    report_.misshaped.push_back(fmt::format("{}: has {}, expected {}", found->second,
                                            show_shape(stored.shape),
                                            show_shape({shape.data(), shape.size()})));
  }
  unclaimed_.erase(found);
}

CheckpointReport CheckpointMatcher::report() {
  for (const auto& [canonical, stored] : unclaimed_) {
    const bool known = std::any_of(unused_.begin(), unused_.end(), [&](const std::string& name) {
      return name.ends_with('.') ? canonical.starts_with(name) : canonical == name;
    });
    if (!known) report_.unexpected.push_back(stored);
  }
  return report_;
}

}  // namespace e5v::detail
