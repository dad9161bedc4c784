#include "e5v/nn/streamed_product.h"

#include "e5v/base/error.h"
#include "e5v/nn/packed_panels.h"

namespace e5v {
namespace {

using dnnl::memory;

/// The calling thread's memory for a panel, and for a block of the weight.
at::Tensor& thread_scratch(int which, int64_t bytes) {
  thread_local at::Tensor scratch[2];
  at::Tensor& own = scratch[which];
  if (!own.defined() || own.numel() < bytes) own = at::empty({bytes}, at::kByte);
  return own;
}

/// `rows` [K, N] in the order `order`; `strides` are those of K and N.
void* packed(const at::BFloat16* values, const memory::dims& shape, const memory::dims& strides,
             const memory::desc& order) {
  void* const panel = thread_scratch(0, static_cast<int64_t>(order.get_size())).data_ptr();
  memory from({shape, memory::data_type::bf16, strides}, onednn::engine(),
              const_cast<at::BFloat16*>(values));
  memory to(order, onednn::engine(), panel);
  dnnl::stream stream(onednn::engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  return panel;
}

at::Tensor multiply(const at::Tensor& x, int64_t features, const ReadWeightBlock& weight,
                    bool is_gradient, at::ScalarType out_dtype) {
  E5V_ASSERT(x.dim() == 2 && x.scalar_type() == at::kBFloat16 && x.device().is_cpu());
  E5V_ASSERT(has_streamed_products());
  const at::NoGradGuard no_grad;
  at::Tensor y = at::empty({x.size(0), features}, at::TensorOptions(out_dtype));
  if (x.size(0) == 0) return y;
  const int64_t K = x.size(1);
  const PanelProduct product(K, features, PanelProduct::DataType::bf16);
  const auto find_panel = [&](int64_t panel) -> const void* {
    const int64_t first = product.first_feature(panel), count = product.num_features(panel);
    auto* const scratch = static_cast<at::BFloat16*>(thread_scratch(1, K * count * 2).data_ptr());
    if (is_gradient) {
      const WeightBlock block = weight(0, K, first, count, scratch);
      return packed(block.values, {K, count}, {block.row_stride, 1}, product.order(panel));
    }
    const WeightBlock block = weight(first, count, 0, K, scratch);
    return packed(block.values, {K, count}, {1, block.row_stride}, product.order(panel));
  };
  const at::Tensor dense = x.contiguous();
  const auto result =
      out_dtype == at::kBFloat16 ? PanelProduct::DataType::bf16 : PanelProduct::DataType::f32;
  product.multiply(find_panel, dense.data_ptr(), x.size(0), nullptr, y.data_ptr(), result,
                   /*accumulate=*/false);
  return y;
}

}  // namespace

bool has_streamed_products() { return onednn::has_native_bf16(); }

at::Tensor streamed_product(const at::Tensor& x, int64_t out_features,
                            const ReadWeightBlock& weight, at::ScalarType out_dtype) {
  return multiply(x, out_features, weight, /*is_gradient=*/false, out_dtype);
}

at::Tensor streamed_gradient(const at::Tensor& dy, int64_t in_features,
                             const ReadWeightBlock& weight, at::ScalarType out_dtype) {
  return multiply(dy, in_features, weight, /*is_gradient=*/true, out_dtype);
}

}  // namespace e5v
