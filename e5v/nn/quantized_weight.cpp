#include "e5v/nn/quantized_weight.h"

#include <ATen/Parallel.h>
#include <ATen/ceil_div.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/kernels/four_bits.h"
#include "e5v/kernels/quantize.h"
#include "e5v/nn/gptq.h"
#include "e5v/nn/kernel_tensors.h"
#include "e5v/nn/packed_panels.h"

namespace e5v::detail {
namespace {

/// Rows of a weight that are widened at once.
constexpr int64_t kBlockRows = 512;

/// Calls `take` with blocks of the weight's rows: (first row, rows).
template <class Take>
void for_blocks_of_rows(const at::Tensor& weight, const Take& take) {
  for (int64_t first = 0; first < weight.size(0); first += kBlockRows) {
    take(first, weight.narrow(0, first, std::min(kBlockRows, weight.size(0) - first)));
  }
}

/// The root of the mean square of each column of weight [out, in], over that of all: the weight
/// that a channel of x has in the product.
at::Tensor relative_column_sizes(const at::Tensor& weight) {
  at::Tensor squares = at::zeros({weight.size(1)}, at::kFloat);
  for_blocks_of_rows(weight, [&](int64_t, const at::Tensor& rows) {
    squares += rows.to(at::kFloat).square().sum(0);
  });
  const double mean = squares.mean().item<double>();
  return mean > 0 ? squares.div_(mean).sqrt_() : at::ones_like(squares);
}

/// A column of zeros has no part in the product, and stays zero.
at::Tensor inverse_of(const at::Tensor& channels) {
  return at::where(channels > 0, channels.reciprocal(), channels);
}

/// x [rows, in] of a floating dtype, times `channels` and rotated, each row of its length: [rows,
/// 32 G] fp32, filled up with zeros.
at::Tensor rotated(const at::Tensor& x, const at::Tensor& channels) {
  const int64_t size = x.size(1), num_groups = at::ceil_div(size, kInt4Group);
  const auto to_orthogonal =
      static_cast<float>(1 / std::sqrt(static_cast<double>(hadamard_size(size))));
  const at::Tensor scaled = x.to(at::kFloat) * channels;
  const at::Tensor rows = at::zeros({x.size(0), num_groups * kInt4Group}, at::kFloat);
  at::parallel_for(0, x.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* const row = rows.data_ptr<float>() + r * num_groups * kInt4Group;
      std::copy_n(scaled.data_ptr<float>() + r * size, size, row);
      hadamard(row, 1, size);
      for (int64_t i = 0; i < size; ++i) row[i] *= to_orthogonal;
    }
  });
  return rows;
}

/// The scales of rows in 4 bits: a row's largest value is 7 times the largest multiplier. 0 for a
/// row of zeros, or of what is not finite.
at::Tensor int4_scales(const at::Tensor& rows) {
  const at::Tensor scales = rows.abs().amax(1) / (7 * kInt4LargestMultiplier);
  return at::where(at::isfinite(scales), scales, at::zeros_like(scales));
}

/// Each value to the nearest of its group.
void round_to_nearest(const at::Tensor& rows, const at::Tensor& scales, const at::Tensor& codes,
                      const at::Tensor& multipliers) {
  const int64_t num_groups = multipliers.size(1), row_bytes = codes.size(1);
  at::parallel_for(0, rows.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      uint8_t* const row_codes = codes.data_ptr<uint8_t>() + r * row_bytes;
      uint8_t* const row_multipliers = multipliers.data_ptr<uint8_t>() + r * num_groups;
      const float scale = scales.data_ptr<float>()[r];
      if (scale > 0) {
        round_to_int4(rows.data_ptr<float>() + r * rows.size(1), num_groups, scale, row_codes,
                      row_multipliers);
      } else {
        std::fill_n(row_codes, row_bytes, uint8_t{0x88});  // zeros
        std::fill_n(row_multipliers, num_groups, uint8_t{1});
      }
    }
  });
}

/// The dense weight of rotated rows [out, in], fp32, which are overwritten.
at::Tensor rotated_back(const at::Tensor& rows, const at::Tensor& scales,
                        const at::Tensor& channels) {
  const int64_t in_features = rows.size(1);
  const double root = std::sqrt(static_cast<double>(hadamard_size(in_features)));
  rows.mul_(scales.div(root).unsqueeze(1));
  // The rotation is its own inverse.
  hadamard(rows.data_ptr<float>(), rows.size(0), in_features);
  return rows.mul_(channels);
}

}  // namespace

QuantizedRows quantize_rows(const at::Tensor& rows, const at::Tensor& channels) {
  const bool is_narrow = rows.scalar_type() == at::kBFloat16;
  const at::Tensor x = rows.to(is_narrow ? at::kBFloat16 : at::kFloat).contiguous();
  const int64_t num_rows = x.size(0), size = x.size(1);
  QuantizedRows result{at::empty({num_rows, size}, at::kChar), at::empty({num_rows}, at::kFloat)};
  with_data(x, [&](const auto* data) {
    rotate_and_quantize(data, channels.data_ptr<float>(), num_rows, size,
                        result.values.data_ptr<int8_t>(), result.scales.data_ptr<float>());
  });
  return result;
}

Int8Tensor quantize_int8(const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const int64_t out_features = weight.size(0), in_features = weight.size(1);
  Int8Tensor result{at::empty({out_features, in_features}, at::kChar),
                    at::empty({out_features}, at::kFloat), relative_column_sizes(weight)};
  const at::Tensor inverse = inverse_of(result.channels);
  for_blocks_of_rows(weight, [&](int64_t first, const at::Tensor& rows) {
    const QuantizedRows quantized = quantize_rows(rows, inverse);
    result.values.narrow(0, first, rows.size(0)).copy_(quantized.values);
    result.scales.narrow(0, first, rows.size(0)).copy_(quantized.scales);
  });
  return result;
}

Int4Tensor quantize_int4(const at::Tensor& weight, const at::Tensor& inputs) {
  const at::NoGradGuard no_grad;
  const int64_t out_features = weight.size(0), in_features = weight.size(1);
  const int64_t num_groups = at::ceil_div(in_features, kInt4Group);
  Int4Tensor result{at::empty({out_features, num_groups * kInt4Group / 2}, at::kByte),
                    at::empty({out_features, num_groups}, at::kByte),
                    at::empty({out_features}, at::kFloat), relative_column_sizes(weight)};
  const at::Tensor inverse = inverse_of(result.channels);
  if (inputs.defined()) {
    const at::Tensor rows = rotated(weight, inverse);
    result.scales.copy_(int4_scales(rows));
    round_with_feedback(rows, rotated(inputs, result.channels), result.scales, result.codes,
                        result.multipliers);
    return result;
  }
  for_blocks_of_rows(weight, [&](int64_t first, const at::Tensor& block) {
    const auto of_block = [&](const at::Tensor& x) { return x.narrow(0, first, block.size(0)); };
    const at::Tensor rows = rotated(block, inverse);
    of_block(result.scales).copy_(int4_scales(rows));
    round_to_nearest(rows, of_block(result.scales), of_block(result.codes),
                     of_block(result.multipliers));
  });
  return result;
}

Int4Storage::Int4Storage(Int4Tensor weight) : weight_(std::move(weight)) {
  const auto fits = [](const at::Tensor& x, at::ScalarType dtype, int64_t dimensions) {
    return x.defined() && x.scalar_type() == dtype && x.dim() == dimensions && x.is_contiguous();
  };
  const bool is_usable =
      fits(weight_.codes, at::kByte, 2) && fits(weight_.multipliers, at::kByte, 2) &&
      fits(weight_.scales, at::kFloat, 1) && fits(weight_.channels, at::kFloat, 1) &&
      weight_.codes.size(0) > 0 && weight_.channels.size(0) > 0 &&
      weight_.multipliers.size(0) == weight_.codes.size(0) &&
      weight_.scales.size(0) == weight_.codes.size(0) &&
      weight_.multipliers.size(1) == at::ceil_div(weight_.channels.size(0), kInt4Group) &&
      weight_.codes.size(1) == weight_.multipliers.size(1) * kInt4Group / 2;
  if (!is_usable) throw InputError("the tensors of an int4 weight do not fit each other");
}

void Int4Storage::multiply(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& y,
                           bool accumulate) const {
  if (x.size(0) == 0) return;
  const at::NoGradGuard no_grad;
  const int64_t in_features = weight_.channels.size(0), out_features = weight_.codes.size(0);
  const int64_t num_groups = weight_.multipliers.size(1), row_size = num_groups * kInt4Group;
  const bool is_exact = has_exact_int8_products();
  const PanelProduct product(in_features, out_features,
                             is_exact ? PanelProduct::DataType::s8 : PanelProduct::DataType::f32);
  const auto* codes = weight_.codes.data_ptr<uint8_t>();
  const auto* multipliers = weight_.multipliers.data_ptr<uint8_t>();
  const auto find_panel = [&](int64_t panel) {
    const int64_t first = product.first_feature(panel), count = product.num_features(panel);
    auto* const rows = static_cast<int8_t*>(thread_scratch(1, count * row_size));
    unpack_int4(codes + first * row_size / 2, multipliers + first * num_groups, count * num_groups,
                rows);
    // oneDNN reorders rows without gaps only.
    for (int64_t r = 1; r < count && row_size > in_features; ++r) {
      std::memmove(rows + r * in_features, rows + r * row_size, in_features);
    }
    if (is_exact) return pack_for_thread(product, panel, rows, 1, in_features);
    const at::Tensor wide = at::from_blob(rows, {count, in_features}, at::kChar)
                                .to(at::kFloat)
                                .mul_(weight_.scales.narrow(0, first, count).unsqueeze(1));
    return pack_for_thread(product, panel, wide.data_ptr(), 1, in_features);
  };
  const at::Tensor dense_bias = bias.defined() ? bias.contiguous() : bias;
  const float* const bias_data = bias.defined() ? dense_bias.data_ptr<float>() : nullptr;
  const QuantizedRows rows = quantize_rows(x, weight_.channels);
  if (is_exact) {
    product.multiply(
        find_panel, rows.values.data_ptr(), x.size(0), bias_data, y.data_ptr(),
        y.scalar_type() == at::kBFloat16 ? PanelProduct::DataType::bf16
                                         : PanelProduct::DataType::f32,
        accumulate,
        PanelProduct::Scales{rows.scales.data_ptr<float>(), weight_.scales.data_ptr<float>()});
    return;
  }
  const at::Tensor wide_x = rows.values.to(at::kFloat).mul_(rows.scales.unsqueeze(1));
  const at::Tensor sums = y.scalar_type() == at::kFloat ? y : at::empty(y.sizes(), at::kFloat);
  product.multiply(find_panel, wide_x.data_ptr(), x.size(0), bias_data, sums.data_ptr(),
                   PanelProduct::DataType::f32, accumulate);
  if (!sums.is_same(y)) y.copy_(sums);
}

at::Tensor Int4Storage::product(const at::Tensor& x, const at::Tensor& bias,
                                at::ScalarType out_dtype) const {
  const at::Tensor y = at::empty({x.size(0), weight_.codes.size(0)}, x.options().dtype(out_dtype));
  multiply(x, bias, y, /*accumulate=*/false);
  return y;
}

void Int4Storage::add_product(const at::Tensor& x, const at::Tensor& bias,
                              at::Tensor& residual) const {
  E5V_ASSERT(residual.scalar_type() == at::kFloat && residual.is_contiguous());
  multiply(x, bias, residual, /*accumulate=*/true);
}

at::Tensor Int4Storage::dense() const {
  const at::NoGradGuard no_grad;
  const int64_t out_features = weight_.codes.size(0), in_features = weight_.channels.size(0);
  const int64_t num_groups = weight_.multipliers.size(1);
  const at::Tensor values = at::empty({out_features, num_groups * kInt4Group}, at::kChar);
  unpack_int4(weight_.codes.data_ptr<uint8_t>(), weight_.multipliers.data_ptr<uint8_t>(),
              out_features * num_groups, values.data_ptr<int8_t>());
  const at::Tensor rows = values.narrow(1, 0, in_features).to(at::kFloat).contiguous();
  return rotated_back(rows, weight_.scales, weight_.channels);
}

int64_t Int4Storage::num_bytes() const {
  return static_cast<int64_t>(weight_.codes.nbytes() + weight_.multipliers.nbytes() +
                              weight_.scales.nbytes() + weight_.channels.nbytes());
}

}  // namespace e5v::detail
