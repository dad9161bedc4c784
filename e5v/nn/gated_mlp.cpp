#include "e5v/nn/gated_mlp.h"

#include <algorithm>

#include "e5v/kernels/elementwise.h"
#include "e5v/nn/kernel_tensors.h"
#include "e5v/nn/own_gradient.h"

namespace e5v::detail {
namespace {

constexpr int64_t kRowBlock = 1024;

}  // namespace

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

at::Tensor GatedMlp::gated(const at::Tensor& x) const {
  const bool has_kernels = activation_ == Activation::kSilu && are_kernel_operands(x);
  if (has_kernels && !gate_up_proj_.is_packed()) return gated_silu_recorded(x);
  const auto halves = gate_up_proj_.forward(x).chunk(2, -1);  // [T, I] each
  return (activate(halves[0], activation_) * halves[1]).to(x.scalar_type());
}

at::Tensor GatedMlp::gated_silu(const at::Tensor& x) const {
  const at::Tensor gate_up = gate_up_proj_.forward(x, x.scalar_type());  // [T, 2I]
  const int64_t T = gate_up.size(0), I = gate_up.size(1) / 2;
  const at::Tensor out = at::empty({T, I}, gate_up.options());
  with_data(out, [&](auto* data) {
    silu_mul(reinterpret_cast<decltype(data)>(gate_up.data_ptr()), T, I, data);
  });
  return out;
}

at::Tensor GatedMlp::gated_silu_recorded(const at::Tensor& x) const {
  const auto product = [&](size_t part) {
    return gate_up_proj_.part(part).forward(x, x.scalar_type()).contiguous();  // [T, I]
  };
  const at::Tensor gate = product(0), up = product(1);
  const auto silu_mul_of = [](const at::Tensor& g, const at::Tensor& u) {
    const at::NoGradGuard no_grad;
    const at::Tensor out = at::empty_like(g);
    with_data(out, [&](auto* to) {
      const auto data = [](const at::Tensor& t) {
        return static_cast<const decltype(to)>(t.data_ptr());
      };
      silu_mul_apart(data(g), data(u), out.numel(), to);
    });
    return out;
  };
  const auto backward = [gate = gate.detach(),
                         up = up.detach()](const at::Tensor& gradient) -> std::vector<at::Tensor> {
    const at::Tensor dy = gradient.contiguous();
    const at::Tensor d_gate = at::empty_like(gate), d_up = at::empty_like(up);
    with_data(d_gate, [&](auto* to) {
      const auto data = [](const at::Tensor& t) { return static_cast<decltype(to)>(t.data_ptr()); };
      silu_mul_backward(data(gate), data(up), data(dy), dy.numel(), to, data(d_up));
    });
    return {d_gate, d_up};
  };
  return with_own_gradient(silu_mul_of(gate, up), {gate, up}, backward);
}

at::Tensor GatedMlp::add_to(const at::Tensor& residual, const at::Tensor& x) const {
  const bool is_inference = gate_up_proj_.is_packed() && !at::GradMode::is_enabled();
  if (!is_inference) return down_proj_.add_to(residual, gated(x));
  // Block by block: the inner states are the widest of a model, and need exist for a block only.
  const int64_t T = x.size(0);
  for (int64_t begin = 0; begin < T; begin += kRowBlock) {
    const int64_t count = std::min(kRowBlock, T - begin);
    const at::Tensor rows = x.narrow(0, begin, count);
    down_proj_.add_to(residual.narrow(0, begin, count),
                      activation_ == Activation::kSilu ? gated_silu(rows) : gated(rows));
  }
  return residual;
}

}  // namespace e5v::detail
