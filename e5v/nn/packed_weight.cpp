#include "e5v/nn/packed_weight.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/nn/onednn.h"

namespace e5v {
namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Tag = memory::format_tag;

/// Rows of x in one product. oneDNN is as fast on 256 rows as on any number, slower on odd ones
/// (1000 rows: 16 % less than 1024), and takes ~1 ms to generate code for a new number: so x is
/// cut into groups of kMaxGroup rows, and the rest is filled up to a multiple of kGroupStep.
constexpr int64_t kMaxGroup = 256;
constexpr int64_t kGroupStep = 32;
/// Rows of a weight that are converted, or widened for a product, at once.
constexpr int64_t kBlockFeatures = 512;

DataType onednn_type(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? DataType::bf16 : DataType::f32;
}

bool is_floating(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf;
}

std::string describe_tensor(const at::Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  return fmt::format("[{}] {} on {}", fmt::join(tensor.sizes(), ", "),
                     c10::toString(tensor.scalar_type()), tensor.device().str());
}

}  // namespace

struct PackedWeight::Impl {
  int64_t in_features, out_features;
  Precision precision;
  /// oneDNN reads `data` as it lies, ordered as `desc`; else `data` is [out, in] bf16, row-major,
  /// and is widened block by block.
  bool native;
  memory::desc desc;
  at::Tensor data;

  at::ScalarType stored_dtype() const {
    return precision == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat;
  }
  at::ScalarType operand_dtype() const { return native ? stored_dtype() : at::kFloat; }

  void multiply(const at::Tensor& x, const float* bias, const at::Tensor& y, bool accumulate) const;
  void multiply_widened(const at::Tensor& x, const float* bias, const at::Tensor& y,
                        bool accumulate) const;
};

PackedWeight::PackedWeight(const at::Tensor& weight, Precision precision) {
  if (!weight.defined() || weight.dim() != 2 || !weight.device().is_cpu() ||
      !is_floating(weight.scalar_type()) || weight.size(0) == 0 || weight.size(1) == 0 ||
      weight.stride(1) != 1) {
    throw InputError(fmt::format(
        "weight is {}, expected [out_features, in_features] of a floating dtype on the CPU",
        describe_tensor(weight)));
  }
  at::NoGradGuard no_grad;
  impl_ = std::make_unique<Impl>();
  Impl& impl = *impl_;
  impl.out_features = weight.size(0);
  impl.in_features = weight.size(1);
  impl.precision = precision;
  impl.native = precision == Precision::kFloat32 || onednn::has_native_bf16();
  const at::ScalarType stored_dtype = impl.stored_dtype();

  if (!impl.native) {
    impl.data = at::empty({impl.out_features, impl.in_features}, stored_dtype);
    impl.data.copy_(weight);
    return;
  }
  const DataType type = onednn_type(stored_dtype);
  const onednn::MatmulKey key{
      kMaxGroup, impl.in_features, impl.out_features, type, DataType::f32, impl.out_features, false,
      false};
  impl.desc = onednn::best_weights_order(key);
  impl.data = at::empty({static_cast<int64_t>(impl.desc.get_size())}, at::kByte);
  dnnl::stream stream(onednn::engine());
  for (int64_t begin = 0; begin < impl.out_features; begin += kBlockFeatures) {
    const int64_t count = std::min(kBlockFeatures, impl.out_features - begin);
    const at::Tensor block = weight.narrow(0, begin, count).to(stored_dtype).contiguous();
    memory from({{impl.in_features, count}, type, Tag::ba}, onednn::engine(), block.data_ptr());
    memory to(impl.desc.submemory_desc({impl.in_features, count}, {0, begin}), onednn::engine(),
              impl.data.data_ptr());
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  }
}

PackedWeight::PackedWeight(PackedWeight&&) noexcept = default;
PackedWeight& PackedWeight::operator=(PackedWeight&&) noexcept = default;
PackedWeight::~PackedWeight() = default;

void PackedWeight::matmul(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& y,
                          bool accumulate) const {
  const Impl& impl = *impl_;
  const bool x_fits = x.defined() && x.dim() == 2 && x.size(1) == impl.in_features &&
                      x.device().is_cpu() && x.stride(1) == 1 &&
                      (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
  if (!x_fits) {
    throw InputError(fmt::format("x is {}, expected [T, {}] float32 or bfloat16 on the CPU",
                                 describe_tensor(x), impl.in_features));
  }
  const bool y_fits =
      y.defined() && y.dim() == 2 && y.size(0) == x.size(0) && y.size(1) == impl.out_features &&
      y.device().is_cpu() && y.is_contiguous() &&
      (y.scalar_type() == at::kFloat || (y.scalar_type() == at::kBFloat16 && !accumulate));
  if (!y_fits) {
    throw InputError(fmt::format("y is {}, expected [{}, {}] float32{} on the CPU",
                                 describe_tensor(y), x.size(0), impl.out_features,
                                 accumulate ? "" : " or bfloat16"));
  }
  if (bias.defined() && (bias.dim() != 1 || bias.size(0) != impl.out_features ||
                         bias.scalar_type() != at::kFloat || !bias.device().is_cpu())) {
    throw InputError(fmt::format("bias is {}, expected [{}] float32 on the CPU",
                                 describe_tensor(bias), impl.out_features));
  }
  if (x.size(0) == 0) return;
  at::NoGradGuard no_grad;
  // Where bf16 is widened, x is rounded all the same: a CPU's results resemble another's.
  const at::Tensor operand = x.to(impl.stored_dtype()).to(impl.operand_dtype()).contiguous();
  const at::Tensor dense_bias = bias.defined() ? bias.contiguous() : bias;
  const float* bias_data = bias.defined() ? dense_bias.data_ptr<float>() : nullptr;
  // oneDNN rounds a result to bf16 only where the operands are bf16.
  const bool round_after = y.scalar_type() != at::kFloat && operand.scalar_type() == at::kFloat;
  const at::Tensor sums = round_after ? at::empty(y.sizes(), at::kFloat) : y;
  if (impl.native) {
    impl.multiply(operand, bias_data, sums, accumulate);
  } else {
    impl.multiply_widened(operand, bias_data, sums, accumulate);
  }
  if (round_after) y.copy_(sums);
}

void PackedWeight::Impl::multiply(const at::Tensor& x, const float* bias, const at::Tensor& y,
                                  bool accumulate) const {
  const int64_t num_rows = x.size(0);
  onednn::MatmulKey key{kMaxGroup,
                        in_features,
                        out_features,
                        onednn_type(x.scalar_type()),
                        onednn_type(y.scalar_type()),
                        out_features,
                        bias != nullptr,
                        accumulate};
  const auto* from = static_cast<const std::byte*>(x.data_ptr());
  auto* to = static_cast<std::byte*>(y.data_ptr());
  const int64_t x_row_bytes = in_features * x.element_size();
  const int64_t y_row_bytes = out_features * y.element_size();

  int64_t row = 0;
  for (; row + kMaxGroup <= num_rows; row += kMaxGroup) {
    onednn::matmul(key, desc, data.data_ptr(), from + row * x_row_bytes, bias,
                   to + row * y_row_bytes);
  }
  const int64_t rest = num_rows - row;
  if (rest == 0) return;
  key.rows = (rest + kGroupStep - 1) / kGroupStep * kGroupStep;
  if (key.rows == rest) {
    onednn::matmul(key, desc, data.data_ptr(), from + row * x_row_bytes, bias,
                   to + row * y_row_bytes);
    return;
  }
  at::Tensor filled_x = at::empty({key.rows, in_features}, x.options());
  filled_x.narrow(0, 0, rest).copy_(x.narrow(0, row, rest));
  filled_x.narrow(0, rest, key.rows - rest).zero_();
  at::Tensor filled_y = at::empty({key.rows, out_features}, y.options());
  const at::Tensor y_rest = y.narrow(0, row, rest);
  if (accumulate) filled_y.narrow(0, 0, rest).copy_(y_rest);
  onednn::matmul(key, desc, data.data_ptr(), filled_x.data_ptr(), bias, filled_y.data_ptr());
  y_rest.copy_(filled_y.narrow(0, 0, rest));
}

void PackedWeight::Impl::multiply_widened(const at::Tensor& x, const float* bias,
                                          const at::Tensor& y, bool accumulate) const {
  const int64_t num_rows = x.size(0);
  for (int64_t begin = 0; begin < out_features; begin += kBlockFeatures) {
    const int64_t count = std::min(kBlockFeatures, out_features - begin);
    const at::Tensor block = data.narrow(0, begin, count).to(at::kFloat);
    const memory::desc block_desc({in_features, count}, DataType::f32, Tag::ba);
    for (int64_t row = 0; row < num_rows; row += kMaxGroup) {
      const int64_t rows = std::min(kMaxGroup, num_rows - row);
      const onednn::MatmulKey key{rows,          in_features,  count,           DataType::f32,
                                  DataType::f32, out_features, bias != nullptr, accumulate};
      onednn::matmul(key, block_desc, block.data_ptr(), x.data_ptr<float>() + row * in_features,
                     bias ? bias + begin : nullptr,
                     y.data_ptr<float>() + row * out_features + begin);
    }
  }
}

at::Tensor PackedWeight::matmul(const at::Tensor& x, const at::Tensor& bias,
                                at::ScalarType out_dtype) const {
  at::Tensor y = at::empty({x.defined() && x.dim() > 0 ? x.size(0) : 0, impl_->out_features},
                           at::TensorOptions(out_dtype));
  matmul(x, bias, y);
  return y;
}

at::Tensor PackedWeight::unpack(at::ScalarType dtype) const {
  const Impl& impl = *impl_;
  at::NoGradGuard no_grad;
  if (!impl.native) return impl.data.to(dtype, /*non_blocking=*/false, /*copy=*/true);
  const at::ScalarType stored_dtype = impl.stored_dtype();
  const at::Tensor dense = at::empty({impl.out_features, impl.in_features}, stored_dtype);
  memory from(impl.desc, onednn::engine(), impl.data.data_ptr());
  memory to({{impl.in_features, impl.out_features}, onednn_type(stored_dtype), Tag::ba},
            onednn::engine(), dense.data_ptr());
  dnnl::stream stream(onednn::engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  return dense.to(dtype);
}

bool PackedWeight::has_native_bfloat16() { return onednn::has_native_bf16(); }

int64_t PackedWeight::in_features() const { return impl_->in_features; }
int64_t PackedWeight::out_features() const { return impl_->out_features; }
PackedWeight::Precision PackedWeight::precision() const { return impl_->precision; }
size_t PackedWeight::num_bytes() const { return impl_->data.nbytes(); }

}  // namespace e5v
