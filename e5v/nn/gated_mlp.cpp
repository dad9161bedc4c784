#include "e5v/nn/gated_mlp.h"

namespace e5v {

GatedMlp::GatedMlp(int64_t hidden_size, int64_t intermediate_size, bool has_bias,
                   Activation activation)
    : activation_(activation),
      gate_up_proj_(hidden_size, {{"gate_proj", intermediate_size}, {"up_proj", intermediate_size}},
                    has_bias),
      down_proj_(intermediate_size, hidden_size, has_bias) {}

void GatedMlp::visit_parameters(ParameterVisitor& visitor) {
  gate_up_proj_.visit_parameters(visitor);
  visitor.linear(visitor.full_name("down_proj"), down_proj_);
}

at::Tensor GatedMlp::add_to(const at::Tensor& residual, const at::Tensor& x) const {
  const auto halves = gate_up_proj_.forward(x).chunk(2, -1);  // [T, I] each
  const at::Tensor gated = activate(halves[0], activation_) * halves[1];
  return down_proj_.add_to(residual, gated.to(x.scalar_type()));
}

}  // namespace e5v
