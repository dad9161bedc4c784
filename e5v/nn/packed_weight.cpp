#include "e5v/nn/packed_weight.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "e5v/base/error.h"

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

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// oneDNN below AVX512-BF16 either refuses bf16 or computes it slower than fp32.
bool has_native_bf16() {
  static const bool result = [] {
    using Isa = dnnl::cpu_isa;
    const Isa isa = dnnl::get_effective_cpu_isa();
    return static_cast<unsigned>(isa) >= static_cast<unsigned>(Isa::avx512_core_bf16) &&
           isa != Isa::avx2_vnni;
  }();
  return result;
}

DataType onednn_type(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? DataType::bf16 : DataType::f32;
}

/// A product [rows, in] x [in, out] -> [rows, out], and what of it needs generated code of its own.
struct ProductKey {
  int64_t rows, in_features, out_features;
  DataType operands, result;
  int64_t result_stride;
  bool has_bias, accumulate;

  auto operator<=>(const ProductKey&) const = default;
};

/// `weights` format `any` lets oneDNN choose the order.
dnnl::matmul::primitive_desc describe(const ProductKey& key, const memory::desc& weights) {
  const memory::desc x({key.rows, key.in_features}, key.operands, Tag::ab);
  const memory::desc y({key.rows, key.out_features}, key.result,
                       memory::dims{key.result_stride, 1});
  const memory::desc bias({1, key.out_features}, DataType::f32, Tag::ab);
  dnnl::primitive_attr attributes;
  // The library's own scratchpad is shared between threads; ours belongs to the call.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (key.accumulate) {
    dnnl::post_ops add;
    add.append_sum();
    attributes.set_post_ops(add);
  }
#if DNNL_VERSION_MAJOR >= 3
  if (key.has_bias) return {engine(), x, weights, bias, y, attributes};
  return {engine(), x, weights, y, attributes};
#else
  if (key.has_bias) return {dnnl::matmul::desc(x, weights, bias, y), attributes, engine()};
  return {dnnl::matmul::desc(x, weights, y), attributes, engine()};
#endif
}

struct Product {
  dnnl::matmul primitive;
  memory::desc x, weights, bias, y, scratchpad;
};

/// Generated code, shared by all weights of the same shape.
class ProductCache {
 public:
  std::shared_ptr<const Product> get(const ProductKey& key, const memory::desc& weights) {
    const std::lock_guard lock(mutex_);
    if (const auto found = products_.find(key); found != products_.end()) return found->second;
    // A model has few shapes; whoever makes many must not fill the memory with code.
    if (products_.size() >= kMaxProducts) products_.clear();
    const auto description = describe(key, weights);
    auto product = std::make_shared<const Product>(
        Product{dnnl::matmul(description), description.src_desc(), description.weights_desc(),
                memory::desc({1, key.out_features}, DataType::f32, Tag::ab), description.dst_desc(),
                description.scratchpad_desc()});
    products_.emplace(key, product);
    return product;
  }

 private:
  static constexpr size_t kMaxProducts = 512;
  std::mutex mutex_;
  std::map<ProductKey, std::shared_ptr<const Product>> products_;
};

ProductCache& product_cache() {
  static ProductCache cache;
  return cache;
}

void run(const ProductKey& key, const memory::desc& weights_desc, const void* weights,
         const void* x, const float* bias, void* y) {
  const auto product = product_cache().get(key, weights_desc);
  thread_local at::Tensor scratchpad;
  const auto scratchpad_bytes = static_cast<int64_t>(product->scratchpad.get_size());
  if (!scratchpad.defined() || scratchpad.numel() < scratchpad_bytes) {
    scratchpad = at::empty({scratchpad_bytes}, at::kByte);
  }
  const auto at_address = [](const memory::desc& desc, const void* data) {
    return memory(desc, engine(), const_cast<void*>(data));
  };
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, at_address(product->x, x)},
      {DNNL_ARG_WEIGHTS, at_address(product->weights, weights)},
      {DNNL_ARG_DST, at_address(product->y, y)},
      {DNNL_ARG_SCRATCHPAD, at_address(product->scratchpad, scratchpad.data_ptr())}};
  if (key.has_bias) arguments.emplace(DNNL_ARG_BIAS, at_address(product->bias, bias));
  dnnl::stream stream(engine());
  product->primitive.execute(stream, arguments);
  stream.wait();
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
  impl.native = precision == Precision::kFloat32 || has_native_bf16();
  const at::ScalarType stored_dtype = impl.stored_dtype();

  if (!impl.native) {
    impl.data = at::empty({impl.out_features, impl.in_features}, stored_dtype);
    impl.data.copy_(weight);
    return;
  }
  const DataType type = onednn_type(stored_dtype);
  const ProductKey key{
      kMaxGroup, impl.in_features, impl.out_features, type, DataType::f32, impl.out_features, false,
      false};
  impl.desc = describe(key, memory::desc({impl.in_features, impl.out_features}, type, Tag::any))
                  .weights_desc();
  impl.data = at::empty({static_cast<int64_t>(impl.desc.get_size())}, at::kByte);
  dnnl::stream stream(engine());
  for (int64_t begin = 0; begin < impl.out_features; begin += kBlockFeatures) {
    const int64_t count = std::min(kBlockFeatures, impl.out_features - begin);
    const at::Tensor block = weight.narrow(0, begin, count).to(stored_dtype).contiguous();
    memory from({{impl.in_features, count}, type, Tag::ba}, engine(), block.data_ptr());
    memory to(impl.desc.submemory_desc({impl.in_features, count}, {0, begin}), engine(),
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
  ProductKey key{kMaxGroup,
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
    run(key, desc, data.data_ptr(), from + row * x_row_bytes, bias, to + row * y_row_bytes);
  }
  const int64_t rest = num_rows - row;
  if (rest == 0) return;
  key.rows = (rest + kGroupStep - 1) / kGroupStep * kGroupStep;
  if (key.rows == rest) {
    run(key, desc, data.data_ptr(), from + row * x_row_bytes, bias, to + row * y_row_bytes);
    return;
  }
  at::Tensor filled_x = at::empty({key.rows, in_features}, x.options());
  filled_x.narrow(0, 0, rest).copy_(x.narrow(0, row, rest));
  filled_x.narrow(0, rest, key.rows - rest).zero_();
  at::Tensor filled_y = at::empty({key.rows, out_features}, y.options());
  const at::Tensor y_rest = y.narrow(0, row, rest);
  if (accumulate) filled_y.narrow(0, 0, rest).copy_(y_rest);
  run(key, desc, data.data_ptr(), filled_x.data_ptr(), bias, filled_y.data_ptr());
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
      const ProductKey key{rows,          in_features,  count,           DataType::f32,
                           DataType::f32, out_features, bias != nullptr, accumulate};
      run(key, block_desc, block.data_ptr(), x.data_ptr<float>() + row * in_features,
          bias ? bias + begin : nullptr, y.data_ptr<float>() + row * out_features + begin);
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
  memory from(impl.desc, engine(), impl.data.data_ptr());
  memory to({{impl.in_features, impl.out_features}, onednn_type(stored_dtype), Tag::ba}, engine(),
            dense.data_ptr());
  dnnl::stream stream(engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  return dense.to(dtype);
}

bool PackedWeight::has_native_bfloat16() { return has_native_bf16(); }

int64_t PackedWeight::in_features() const { return impl_->in_features; }
int64_t PackedWeight::out_features() const { return impl_->out_features; }
PackedWeight::Precision PackedWeight::precision() const { return impl_->precision; }
size_t PackedWeight::num_bytes() const { return impl_->data.nbytes(); }

}  // namespace e5v
