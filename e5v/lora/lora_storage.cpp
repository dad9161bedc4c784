#include "e5v/lora/lora_storage.h"

#include <utility>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/nn/own_gradient.h"

namespace e5v::detail {

LoraStorage::LoraStorage(std::unique_ptr<LinearStorage> base, at::Tensor A, at::Tensor B,
                         double scale, std::shared_ptr<const KeyedDropout> dropout, uint64_t module)
    : base_(std::move(base)),
      A_(std::move(A)),
      B_(std::move(B)),
      scale_(scale),
      dropout_(std::move(dropout)),
      module_(module) {
  E5V_ASSERT(A_.dim() == 2 && B_.dim() == 2 && A_.size(0) == B_.size(1));
}

at::Tensor LoraStorage::reduce(const at::Tensor& x, const KeyedDropout::Mask& mask) const {
  return at::mm(mask.apply(x), A_.to(x.scalar_type()).t());
}

at::Tensor LoraStorage::widen(const at::Tensor& reduced) const {
  return at::mm(reduced, (B_ * scale_).to(reduced.scalar_type()).t());
}

at::Tensor LoraStorage::product(const at::Tensor& x, const at::Tensor& bias,
                                at::ScalarType out_dtype) const {
  at::Tensor y, reduced;  // [T, out], [T, rank]
  const KeyedDropout::Mask mask = mask_for(x);
  {
    const at::NoGradGuard no_grad;
    y = base_->product(x, bias, out_dtype);
    reduced = reduce(x, mask);
    y.add_(widen(reduced));
  }
  // What was dropped is drawn again rather than kept: beyond x only `reduced` stays.
  const auto backward = [this, x = x.detach(), reduced,
                         mask](const at::Tensor& gradient) -> std::vector<at::Tensor> {
    const at::ScalarType dtype = x.scalar_type();
    const at::Tensor dy = gradient.to(dtype);
    const at::Tensor d_reduced = at::mm(dy, (B_ * scale_).to(dtype));  // [T, rank]
    const at::Tensor dB = at::mm(dy.t(), reduced).to(at::kFloat).mul_(scale_);
    const at::Tensor dA = at::mm(d_reduced.t(), mask.apply(x)).to(at::kFloat);
    at::Tensor dx = base_->input_gradient(dy);
    dx.add_(mask.apply(at::mm(d_reduced, A_.to(dtype))));
    return {dx, dA, dB};
  };
  return with_own_gradient(y, {x, A_, B_}, backward);
}

void LoraStorage::add_product(const at::Tensor& x, const at::Tensor& bias,
                              at::Tensor& residual) const {
  base_->add_product(x, bias, residual);
  residual.add_(widen(reduce(x, mask_for(x))));
}

at::Tensor LoraStorage::dense() const {
  return base_->dense().to(at::kFloat) + scale_ * at::mm(B_, A_);
}

int64_t LoraStorage::num_bytes() const {
  return base_->num_bytes() + static_cast<int64_t>(A_.nbytes() + B_.nbytes());
}

}  // namespace e5v::detail
