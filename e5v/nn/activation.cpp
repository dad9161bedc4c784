#include "e5v/nn/activation.h"

#include <ATen/ATen.h>

#include "e5v/base/error.h"
#include "e5v/kernels/elementwise.h"
#include "e5v/nn/kernel_tensors.h"

namespace e5v::detail {

Activation activation_from_name(const std::string& name) {
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::kGeluTanh;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "relu") return Activation::kRelu;
  throw ConfigError(
      fmt::format("activation '{}' is not supported, expected gelu, gelu_pytorch_tanh, quick_gelu, "
                  "silu or relu",
                  printable(name)));
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  const bool has_kernel = activation == Activation::kGelu || activation == Activation::kQuickGelu;
  if (has_kernel && x.is_contiguous() && fit_kernels(x)) {
    const at::Tensor out = at::empty_like(x);
    with_data(out, [&](auto* data) {
      const auto* from = reinterpret_cast<decltype(data)>(x.data_ptr());
      if (activation == Activation::kGelu) {
        gelu_erf(from, x.numel(), data);
      } else {
        quick_gelu(from, x.numel(), data);
      }
    });
    return out;
  }
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x, "none");
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kQuickGelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kRelu:
      return at::relu(x);
  }
  throw_broken_invariant("activation is an enumerator", __FILE__, __LINE__);
}

}  // namespace e5v::detail
