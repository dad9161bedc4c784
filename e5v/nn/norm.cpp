#include "e5v/nn/norm.h"

namespace e5v {

void RMSNorm::visit_parameters(ParameterVisitor& visitor) {
  visitor.tensor(visitor.full_name("weight"), weight_, {hidden_size_});
}

at::Tensor RMSNorm::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  const at::Tensor scale = at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + eps_);
  return (x * scale * weight_).to(out_dtype);
}

void LayerNorm::visit_parameters(ParameterVisitor& visitor) {
  visitor.tensor(visitor.full_name("weight"), weight_, {hidden_size_});
  visitor.tensor(visitor.full_name("bias"), bias_, {hidden_size_});
}

at::Tensor LayerNorm::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  return at::layer_norm(x, {hidden_size_}, weight_, bias_, eps_).to(out_dtype);
}

}  // namespace e5v
