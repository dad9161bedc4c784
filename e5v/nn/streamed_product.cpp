#include "e5v/nn/streamed_product.h"

#include "e5v/base/error.h"
#include "e5v/nn/packed_panels.h"

namespace e5v::detail {
namespace {

void multiply(const at::Tensor& x, const ReadWeightBlock& weight, bool is_gradient,
              const at::Tensor& y, bool accumulate) {
  E5V_ASSERT(x.dim() == 2 && x.scalar_type() == at::kBFloat16 && x.device().is_cpu());
  E5V_ASSERT(has_streamed_products());
  if (x.size(0) == 0) return;
  const int64_t K = x.size(1);
  const PanelProduct product(K, y.size(1), PanelProduct::DataType::bf16);
  const auto find_panel = [&](int64_t panel) {
    const int64_t first = product.first_feature(panel), count = product.num_features(panel);
    auto* const scratch = static_cast<at::BFloat16*>(thread_scratch(1, K * count * 2));
    if (is_gradient) {
      const WeightBlock block = weight(0, K, first, count, scratch);
      return pack_for_thread(product, panel, block.values, block.row_stride, 1);
    }
    const WeightBlock block = weight(first, count, 0, K, scratch);
    return pack_for_thread(product, panel, block.values, 1, block.row_stride);
  };
  const at::Tensor dense = x.contiguous();
  const auto result =
      y.scalar_type() == at::kBFloat16 ? PanelProduct::DataType::bf16 : PanelProduct::DataType::f32;
  product.multiply(find_panel, dense.data_ptr(), x.size(0), nullptr, y.data_ptr(), result,
                   accumulate);
}

}  // namespace

bool has_streamed_products() { return onednn::has_native_bf16(); }

at::ScalarType torch_operand_dtype(const at::Tensor& x) {
  const bool is_widened =
      x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && !has_streamed_products();
  return is_widened ? at::kFloat : x.scalar_type();
}

at::Tensor streamed_product(const at::Tensor& x, int64_t out_features,
                            const ReadWeightBlock& weight, at::ScalarType out_dtype) {
  const at::NoGradGuard no_grad;
  const at::Tensor y = at::empty({x.size(0), out_features}, at::TensorOptions(out_dtype));
  multiply(x, weight, /*is_gradient=*/false, y, /*accumulate=*/false);
  return y;
}

void add_streamed_product(const at::Tensor& x, const ReadWeightBlock& weight, const at::Tensor& y) {
  E5V_ASSERT(y.scalar_type() == at::kFloat && y.is_contiguous() && y.size(0) == x.size(0));
  const at::NoGradGuard no_grad;
  multiply(x, weight, /*is_gradient=*/false, y, /*accumulate=*/true);
}

at::Tensor streamed_gradient(const at::Tensor& dy, int64_t in_features,
                             const ReadWeightBlock& weight, at::ScalarType out_dtype) {
  const at::NoGradGuard no_grad;
  const at::Tensor dx = at::empty({dy.size(0), in_features}, at::TensorOptions(out_dtype));
  multiply(dy, weight, /*is_gradient=*/true, dx, /*accumulate=*/false);
  return dx;
}

}  // namespace e5v::detail
