#include "e5v/nn/fused_linear.h"

#include <utility>

namespace e5v::detail {

FusedLinear::FusedLinear(int64_t in_features, const std::vector<Part>& parts, bool has_bias) {
  int64_t out_features = 0;
  for (const Part& part : parts) {
    names_.push_back(part.name);
    parts_.emplace_back(in_features, part.out_features, has_bias);
    out_features += part.out_features;
  }
  packed_ = Linear(in_features, out_features, has_bias);
}

void FusedLinear::pack(const WeightForm& form) {
  std::vector<at::Tensor> weights;
  for (const Linear& part : parts_) weights.push_back(part.storage().dense());
  set_packed(form.make_storage(weights));
}

void FusedLinear::set_packed(std::unique_ptr<LinearStorage> weight) {
  std::vector<at::Tensor> biases;
  for (Linear& part : parts_) {
    if (part.has_bias()) biases.push_back(part.bias());
    part.set_weight(nullptr);
    part.set_bias({});
  }
  if (!biases.empty()) packed_.set_bias(at::cat(biases));
  packed_.set_weight(std::move(weight));
}

at::Tensor FusedLinear::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  if (packed_.is_loaded()) return packed_.forward(x, out_dtype);
  std::vector<at::Tensor> products;
  for (const Linear& part : parts_) products.push_back(part.forward(x, out_dtype));
  return at::cat(products, -1);
}

}  // namespace e5v::detail
