#include "e5v/nn/norm.h"

#include "e5v/kernels/elementwise.h"
#include "e5v/nn/kernel_tensors.h"
#include "e5v/nn/own_gradient.h"

namespace e5v::detail {

void RMSNorm::visit_parameters(ParameterVisitor& visitor) {
  visitor.tensor(visitor.full_name("weight"), weight_, {hidden_size_});
}

at::Tensor RMSNorm::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  const auto eps = static_cast<float>(eps_);
  const int64_t D = hidden_size_;
  if (are_kernel_operands(x, weight_) && !tracks_gradients(weight_) &&
      x.scalar_type() == at::kFloat && x.is_contiguous()) {
    const at::Tensor out = at::empty(x.sizes(), x.options().requires_grad(false).dtype(out_dtype));
    with_data(out, [&](auto* data) {
      rms_norm(float_data(x), float_data(weight_), eps, x.numel() / D, D, data);
    });
    const auto backward = [x = x.detach(), weight = weight_, eps,
                           D](const at::Tensor& dy) -> std::vector<at::Tensor> {
      const at::Tensor dense = dy.contiguous(), dx = at::empty_like(x);
      with_data(dense, [&](auto* data) {
        rms_norm_backward(float_data(x), float_data(weight), eps, data, x.numel() / D, D,
                          float_data(dx));
      });
      return {dx};
    };
    return with_own_gradient(out, {x}, backward);
  }
  const at::Tensor scale = at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + eps_);
  return (x * scale * weight_).to(out_dtype);
}

void LayerNorm::visit_parameters(ParameterVisitor& visitor) {
  visitor.tensor(visitor.full_name("weight"), weight_, {hidden_size_});
  visitor.tensor(visitor.full_name("bias"), bias_, {hidden_size_});
}

at::Tensor LayerNorm::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  if (fit_kernels(x, weight_, bias_) && x.scalar_type() == at::kFloat && x.is_contiguous()) {
    const at::Tensor out = at::empty(x.sizes(), x.options().dtype(out_dtype));
    with_data(out, [&](auto* data) {
      layer_norm(float_data(x), float_data(weight_), float_data(bias_), static_cast<float>(eps_),
                 x.numel() / hidden_size_, hidden_size_, data);
    });
    return out;
  }
  return at::layer_norm(x, {hidden_size_}, weight_, bias_, eps_).to(out_dtype);
}

}  // namespace e5v::detail
