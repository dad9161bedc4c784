#include "e5v/nn/linear.h"

#include "e5v/base/error.h"
#include "e5v/nn/compat.h"

namespace e5v {

at::Tensor PlainStorage::product(const at::Tensor& x, const at::Tensor& bias,
                                 at::ScalarType out_dtype) const {
  const at::ScalarType dtype = weight_.scalar_type();
  const at::Tensor y = at::linear(x.to(dtype), weight_, bias.defined() ? bias.to(dtype) : bias);
  return y.to(out_dtype);
}

void PlainStorage::add_product(const at::Tensor& x, const at::Tensor& bias,
                               at::Tensor& residual) const {
  residual.add_(product(x, bias, residual.scalar_type()));
}

at::Tensor PackedStorage::product(const at::Tensor& x, const at::Tensor& bias,
                                  at::ScalarType out_dtype) const {
  at::Tensor y = at::empty({x.size(0), weight_.out_features()}, x.options().dtype(out_dtype));
  weight_.matmul(x, bias, y);
  return y;
}

void PackedStorage::add_product(const at::Tensor& x, const at::Tensor& bias,
                                at::Tensor& residual) const {
  weight_.matmul(x, bias, residual, /*accumulate=*/true);
}

at::Tensor PackedStorage::dense() const { return weight_.unpack(at::kFloat); }

Linear::Linear(int64_t in_features, int64_t out_features, bool has_bias)
    : in_features_(in_features),
      out_features_(out_features),
      has_bias_(has_bias),
      checkpoint_shape_({out_features, in_features}) {}

const LinearStorage& Linear::storage() const {
  E5V_ASSERT(storage_ != nullptr);
  return *storage_;
}

at::Tensor Linear::forward(const at::Tensor& x, at::ScalarType out_dtype) const {
  return storage().product(x, bias_, out_dtype);
}

at::Tensor Linear::add_to(const at::Tensor& residual, const at::Tensor& x) const {
  if (at::GradMode::is_enabled()) return residual + forward(x, residual.scalar_type());
  at::Tensor sum = residual;
  storage().add_product(x, bias_, sum);
  return sum;
}

}  // namespace e5v
