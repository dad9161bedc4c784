#include "e5v/model/searle_phi.h"

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/nn/activation.h"

namespace e5v::detail {

SearlePhi::SearlePhi(int64_t projection_dim, int64_t hidden_size, int64_t text_hidden_size)
    : layer_0_(projection_dim, hidden_size, /*has_bias=*/true),
      layer_3_(hidden_size, hidden_size, true),
      layer_6_(hidden_size, text_hidden_size, true) {}

void SearlePhi::visit_parameters(ParameterVisitor& visitor) {
  visitor.linear(visitor.full_name("layers.0"), layer_0_);
  visitor.linear(visitor.full_name("layers.3"), layer_3_);
  visitor.linear(visitor.full_name("layers.6"), layer_6_);
}

at::Tensor SearlePhi::forward(const at::Tensor& features, const KeyedDropout* dropout) const {
  const auto dropped = [&](const at::Tensor& x, uint64_t layer) {
    if (dropout == nullptr) return x;
    return x * dropout->mask(x.size(0), layer).apply(at::ones(x.sizes(), at::kFloat));
  };
  const at::Tensor h0 =
      dropped(activate(layer_0_.forward(features), Activation::kGelu), 0);  // [N, H]
  const at::Tensor h3 = dropped(activate(layer_3_.forward(h0), Activation::kGelu), 3);
  return layer_6_.forward(h3);  // [N, D]
}

std::unique_ptr<SearlePhi> load_searle_phi(const std::filesystem::path& path,
                                           int64_t projection_dim, int64_t text_hidden_size,
                                           const LoadOptions& options) {
  int64_t hidden_size = 0;
  {
    const Checkpoint checkpoint = Checkpoint::open(path);
    const auto first = checkpoint.find("layers.0.weight");
    if (!first || first->shape.size() != 2) {
      throw FormatError(path.native(),
                        "has no matrix 'layers.0.weight', expected the weights of SEARLE's φ");
    }
    hidden_size = first->shape[0];
  }
  auto phi = std::make_unique<SearlePhi>(projection_dim, hidden_size, text_hidden_size);
  LoadOptions loading = options;
  loading.precision = Precision::kFloat32;  // three layers: nothing to save
  load_parameters(*phi, plain_weight_names(), path, loading);
  return phi;
}

}  // namespace e5v::detail
