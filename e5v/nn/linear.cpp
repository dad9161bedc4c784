#include "e5v/nn/linear.h"

#include "e5v/base/error.h"
#include "e5v/nn/compat.h"
#include "e5v/nn/own_gradient.h"
#include "e5v/nn/streamed_product.h"

namespace e5v::detail {
namespace {

bool can_be_streamed(const at::Tensor& weight) {
  return weight.scalar_type() == at::kBFloat16 && weight.device().is_cpu() &&
         weight.is_contiguous() && !weight.requires_grad() && has_streamed_products();
}

ReadWeightBlock blocks_of(const at::Tensor& weight) {
  const auto* const values = weight.data_ptr<at::BFloat16>();
  const int64_t row_stride = weight.size(1);
  return [=](int64_t first_row, int64_t, int64_t first_column, int64_t, at::BFloat16*) {
    return WeightBlock{values + first_row * row_stride + first_column, row_stride};
  };
}

}  // namespace

at::Tensor LinearStorage::input_gradient(const at::Tensor& dy) const {
  const at::ScalarType dtype = torch_operand_dtype(dy);
  return at::mm(dy.to(dtype), dense().to(dtype)).to(dy.scalar_type());
}

at::Tensor PlainStorage::product(const at::Tensor& x, const at::Tensor& bias,
                                 at::ScalarType out_dtype) const {
  const at::ScalarType dtype = weight_.scalar_type();
  if (can_be_streamed(weight_)) {
    const at::Tensor operand = x.to(dtype);
    const auto backward = [weight = weight_](const at::Tensor& dy) -> std::vector<at::Tensor> {
      return {PlainStorage(weight).input_gradient(dy.to(at::kBFloat16))};
    };
    const at::Tensor y =
        with_own_gradient(streamed_product(operand, weight_.size(0), blocks_of(weight_), out_dtype),
                          {operand}, backward);
    return bias.defined() ? y + bias.to(out_dtype) : y;
  }
  const at::ScalarType operands = torch_operand_dtype(weight_);
  const at::Tensor y = at::linear(x.to(dtype).to(operands), weight_.to(operands),
                                  bias.defined() ? bias.to(operands) : bias);
  return y.to(out_dtype);
}

at::Tensor PlainStorage::input_gradient(const at::Tensor& dy) const {
  if (dy.scalar_type() == at::kBFloat16 && can_be_streamed(weight_)) {
    return streamed_gradient(dy, weight_.size(1), blocks_of(weight_), dy.scalar_type());
  }
  return LinearStorage::input_gradient(dy);
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

}  // namespace e5v::detail
