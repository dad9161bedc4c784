#include "e5v/nn/packed_weight.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "e5v/base/error.h"
#include "e5v/kernels/quantize.h"
#include "e5v/nn/packed_panels.h"
#include "e5v/nn/quantized_weight.h"

namespace e5v::detail {
namespace {

using DataType = PackedPanels::DataType;

/// Features of a weight that a product widens from bf16 at once.
constexpr int64_t kBlockFeatures = 512;

DataType onednn_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16:
      return DataType::bf16;
    case at::kChar:
      return DataType::s8;
    default:
      return DataType::f32;
  }
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
  at::ScalarType dtype;
  /// What oneDNN multiplies; without it (no native bf16, no exact int8) `rows` is [out, in] bf16 or
  /// int8, row-major, and is widened block by block.
  std::optional<PackedPanels> panels;
  at::Tensor rows;
  // Of int8, fp32: W ≈ (panels · scales) R · channels.
  at::Tensor scales;    // [out_features]
  at::Tensor channels;  // [in_features]

  at::ScalarType operand_dtype() const { return panels ? dtype : at::kFloat; }

  void pack(const std::vector<Int8Tensor>& parts);
  at::Tensor widened_rows(int64_t first, int64_t count) const;
  void multiply_widened(const at::Tensor& x, const float* bias, const at::Tensor& y,
                        bool accumulate) const;
};

PackedWeight::PackedWeight(const at::Tensor& weight, at::ScalarType dtype) {
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
  impl.dtype = dtype;
  if (dtype == at::kBFloat16 && !onednn::has_native_bf16()) {
    impl.rows = at::empty({impl.out_features, impl.in_features}, dtype);
    impl.rows.copy_(weight);
    return;
  }
  if (dtype == at::kChar) {
    impl.pack({quantize_int8(weight)});
    return;
  }
  PackedPanels& panels =
      impl.panels.emplace(impl.in_features, impl.out_features, onednn_type(dtype));
  for (int64_t panel = 0; panel < panels.num_panels(); ++panel) {
    const at::Tensor rows =
        weight.narrow(0, panels.first_feature(panel), panels.num_features(panel));
    panels.pack(panel, rows.to(dtype).contiguous().data_ptr());
  }
}

PackedWeight::PackedWeight(const std::vector<Int8Tensor>& parts) {
  const auto fits = [](const at::Tensor& x, at::ScalarType dtype, int64_t dimensions) {
    return x.defined() && x.scalar_type() == dtype && x.dim() == dimensions && x.is_contiguous() &&
           x.numel() > 0;
  };
  at::NoGradGuard no_grad;
  impl_ = std::make_unique<Impl>();
  impl_->out_features = 0;
  for (const Int8Tensor& part : parts) {
    if (!fits(part.values, at::kChar, 2) || !fits(part.scales, at::kFloat, 1) ||
        !fits(part.channels, at::kFloat, 1) || part.scales.size(0) != part.values.size(0) ||
        part.channels.size(0) != part.values.size(1)) {
      throw InputError("the tensors of an int8 weight do not fit each other");
    }
    if (!at::equal(part.channels, parts[0].channels)) {
      throw InputError("weights that are one product have different channels");
    }
    impl_->out_features += part.values.size(0);
  }
  impl_->in_features = parts.at(0).values.size(1);
  impl_->dtype = at::kChar;
  impl_->pack(parts);
}

void PackedWeight::Impl::pack(const std::vector<Int8Tensor>& parts) {
  // Copies: what a file holds is unmapped.
  std::vector<at::Tensor> part_values, part_scales;
  for (const Int8Tensor& part : parts) {
    part_values.push_back(part.values);
    part_scales.push_back(part.scales);
  }
  scales = at::cat(part_scales);
  channels = parts[0].channels.clone();
  if (!has_exact_int8_products()) {
    rows = at::cat(part_values);
    return;
  }
  panels.emplace(in_features, out_features, DataType::s8);
  at::parallel_for(0, panels->num_panels(), 1, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> across;  // rows of a panel in which one part ends and another begins
    for (int64_t panel = begin; panel < end; ++panel) {
      int64_t first = panels->first_feature(panel), count = panels->num_features(panel);
      size_t part = 0;
      while (first >= parts[part].values.size(0)) first -= parts[part++].values.size(0);
      const auto rows = [&] { return parts[part].values.data_ptr<int8_t>() + first * in_features; };
      if (first + count <= parts[part].values.size(0)) {
        panels->pack(panel, rows());
        continue;
      }
      across.clear();
      for (; count > 0; ++part, first = 0) {
        const int64_t here = std::min(count, parts[part].values.size(0) - first);
        across.insert(across.end(), rows(), rows() + here * in_features);
        count -= here;
      }
      panels->pack(panel, across.data());
    }
  });
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
  const at::Tensor dense_bias = bias.defined() ? bias.contiguous() : bias;
  const float* bias_data = bias.defined() ? dense_bias.data_ptr<float>() : nullptr;
  at::Tensor operand;
  if (impl.dtype == at::kChar) {
    const QuantizedRows rows = quantize_rows(x, impl.channels);
    if (impl.panels) {
      impl.panels->multiply(
          rows.values.data_ptr(), x.size(0), bias_data, y.data_ptr(), onednn_type(y.scalar_type()),
          accumulate,
          PackedPanels::Scales{rows.scales.data_ptr<float>(), impl.scales.data_ptr<float>()});
      return;
    }
    operand = rows.values.to(at::kFloat).mul_(rows.scales.unsqueeze(1));
  } else {
    // Where bf16 is widened, x is rounded all the same: a CPU's results resemble another's.
    operand = x.to(impl.dtype).to(impl.operand_dtype()).contiguous();
  }
  // oneDNN rounds a result to bf16 only where the operands are bf16.
  const bool round_after = y.scalar_type() != at::kFloat && operand.scalar_type() == at::kFloat;
  const at::Tensor sums = round_after ? at::empty(y.sizes(), at::kFloat) : y;
  if (impl.panels) {
    impl.panels->multiply(operand.data_ptr(), operand.size(0), bias_data, sums.data_ptr(),
                          onednn_type(sums.scalar_type()), accumulate);
  } else {
    impl.multiply_widened(operand, bias_data, sums, accumulate);
  }
  if (round_after) y.copy_(sums);
}

/// Rows of the weight in fp32, of int8 with their scales.
at::Tensor PackedWeight::Impl::widened_rows(int64_t first, int64_t count) const {
  const at::Tensor wide = rows.narrow(0, first, count).to(at::kFloat);
  return scales.defined() ? wide.mul_(scales.narrow(0, first, count).unsqueeze(1)) : wide;
}

void PackedWeight::Impl::multiply_widened(const at::Tensor& x, const float* bias,
                                          const at::Tensor& y, bool accumulate) const {
  const int64_t num_rows = x.size(0);
  for (int64_t begin = 0; begin < out_features; begin += kBlockFeatures) {
    const int64_t count = std::min(kBlockFeatures, out_features - begin);
    PackedPanels block(in_features, count, DataType::f32);
    for (int64_t panel = 0; panel < block.num_panels(); ++panel) {
      const int64_t first = begin + block.first_feature(panel);
      block.pack(panel, widened_rows(first, block.num_features(panel)).data_ptr());
    }
    const at::Tensor products = at::empty({num_rows, count}, at::kFloat);
    block.multiply(x.data_ptr(), num_rows, bias ? bias + begin : nullptr, products.data_ptr(),
                   DataType::f32, /*accumulate=*/false);
    const at::Tensor columns = y.narrow(1, begin, count);
    accumulate ? columns.add_(products) : columns.copy_(products);
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
  at::Tensor dense = impl.rows;
  if (impl.panels) {
    dense = at::empty({impl.out_features, impl.in_features}, impl.dtype);
    for (int64_t panel = 0; panel < impl.panels->num_panels(); ++panel) {
      impl.panels->unpack(panel, dense[impl.panels->first_feature(panel)].data_ptr());
    }
  }
  if (impl.dtype != at::kChar) {
    return dense.to(dtype, /*non_blocking=*/false, /*copy=*/!impl.panels);
  }
  // The rotation is its own inverse.
  const double root = std::sqrt(static_cast<double>(hadamard_size(impl.in_features)));
  const at::Tensor rotated = dense.to(at::kFloat).mul_(impl.scales.div(root).unsqueeze(1));
  hadamard(rotated.data_ptr<float>(), impl.out_features, impl.in_features);
  return rotated.mul_(impl.channels).to(dtype);
}

bool PackedWeight::has_native_bfloat16() { return onednn::has_native_bf16(); }

int64_t PackedWeight::in_features() const { return impl_->in_features; }
int64_t PackedWeight::out_features() const { return impl_->out_features; }
at::ScalarType PackedWeight::dtype() const { return impl_->dtype; }
size_t PackedWeight::num_bytes() const {
  const size_t scales =
      impl_->scales.defined() ? impl_->scales.nbytes() + impl_->channels.nbytes() : 0;
  return scales + (impl_->panels ? impl_->panels->num_bytes() : impl_->rows.nbytes());
}

}  // namespace e5v::detail
