#include "e5v/nn/fused_linear.h"

#include <utility>

namespace e5v {

FusedLinear::FusedLinear(int64_t in_features, const std::vector<Part>& parts, bool has_bias) {
  int64_t out_features = 0;
  for (const Part& part : parts) {
    names_.push_back(part.name);
    parts_.emplace_back(in_features, part.out_features, has_bias);
    out_features += part.out_features;
  }
  packed_ = Linear(in_features, out_features, has_bias);
}

void FusedLinear::pack(PackedWeight::Precision precision) {
  std::vector<at::Tensor> weights, biases;
  for (Linear& part : parts_) {
    weights.push_back(part.storage().dense());
    if (part.has_bias()) biases.push_back(part.bias());
    part.set_weight(nullptr);
    part.set_bias({});
  }
  if (!biases.empty()) packed_.set_bias(at::cat(biases));
  const at::Tensor weight = at::cat(weights);
  weights.clear();
  packed_.set_weight(std::make_unique<PackedStorage>(PackedWeight(weight, precision)));
}

at::Tensor FusedLinear::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  if (packed_.is_loaded()) return packed_.forward(x, out_dtype);
  std::vector<at::Tensor> products;
  for (const Linear& part : parts_) products.push_back(part.forward(x, out_dtype));
  return at::cat(products, -1);
}

}  // namespace e5v
