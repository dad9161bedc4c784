#include "e5v/nn/gptq.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/kernels/four_bits.h"
#include "e5v/nn/packed_weight.h"

namespace e5v::detail {
namespace {

/// Columns that are rounded before their errors go into those of later blocks, as one product.
constexpr int64_t kBlockColumns = 128;
/// Of the mean of the inputs' squares, added to each channel's: GPTQ's.
constexpr double kDamping = 0.01;

/// U of H = U D U^T, where H = inputs^T inputs (damped), D is diagonal and U upper triangular with
/// ones on its diagonal: [K, K] fp32. Its column k says how much of the error of each earlier
/// column goes into column k.
at::Tensor error_feedback(const at::Tensor& inputs) {
  // An upper factor is the lower one of the channels in reverse order. In bf16: what that rounds is
  // a small part of each input, and the sums are still those of vectors with themselves.
  const at::Tensor columns = inputs.t().flip(0).to(at::kBFloat16).contiguous();
  at::Tensor gram =
      PackedWeight(columns, at::kBFloat16).matmul(columns, {}, at::kFloat).to(at::kDouble);
  const double damping = kDamping * gram.diagonal().mean().item<double>();
  if (!std::isfinite(damping)) throw InputError("the inputs of a product are not finite");
  if (damping == 0) return at::eye(gram.size(0), at::kFloat);
  gram.diagonal().add_(damping);
  gram = at::linalg_cholesky(gram);
  const at::Tensor factor = gram.to(at::kFloat).flip({0, 1});
  return factor.div_(factor.diagonal().clone());
}

/// Rounds the columns of one block of one row. `targets` are the row's values with the errors of
/// earlier blocks made up for, and are overwritten; `errors` become row - rounded.
void round_block(const float* row, const float* feedback, int64_t num_columns, float scale,
                 float* targets, float* errors, uint8_t* codes, uint8_t* multipliers) {
  constexpr int64_t kHalf = kInt4Group / 2;
  for (int64_t first = 0; first < num_columns; first += kInt4Group, codes += kHalf) {
    round_to_int4(targets + first, 1, scale, codes, multipliers);  // for the multiplier
    const float step = static_cast<float>(*multipliers++) * scale, inverse = 1 / step;
    std::array<uint8_t, kInt4Group> group;
    for (int64_t i = 0; i < kInt4Group; ++i) {
      const int64_t j = first + i;
      const float value = std::clamp(std::nearbyint(targets[j] * inverse), -8.0f, 7.0f);
      group[i] = static_cast<uint8_t>(static_cast<int>(value) + 8);
      errors[j] = row[j] - value * step;
      const float* const shares = feedback + j * num_columns;
      for (int64_t k = j + 1; k < num_columns; ++k) targets[k] += errors[j] * shares[k];
    }
    for (int64_t i = 0; i < kHalf; ++i) {
      codes[i] = static_cast<uint8_t>(group[i] | group[kHalf + i] << 4);
    }
  }
}

}  // namespace

void round_with_feedback(const at::Tensor& rows, const at::Tensor& inputs, const at::Tensor& scales,
                         const at::Tensor& codes, const at::Tensor& multipliers) {
  const at::NoGradGuard no_grad;
  const int64_t num_rows = rows.size(0), num_columns = rows.size(1);
  const at::Tensor feedback = error_feedback(inputs);
  const at::Tensor errors = at::empty_like(rows);
  for (int64_t first = 0; first < num_columns; first += kBlockColumns) {
    const int64_t count = std::min(kBlockColumns, num_columns - first);
    const auto block = [&](const at::Tensor& x) { return x.narrow(1, first, count); };
    const at::Tensor made_up_for =
        at::mm(errors.narrow(1, 0, first), block(feedback).narrow(0, 0, first));
    const at::Tensor targets = (block(rows) + made_up_for).contiguous();
    const at::Tensor shares = block(feedback).narrow(0, first, count).contiguous();
    at::parallel_for(0, num_rows, 8, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        uint8_t* const row_codes = codes.data_ptr<uint8_t>() + (r * num_columns + first) / 2;
        uint8_t* const row_multipliers =
            multipliers.data_ptr<uint8_t>() + (r * num_columns + first) / kInt4Group;
        const float scale = scales.data_ptr<float>()[r];
        float* const row_errors = errors.data_ptr<float>() + r * num_columns + first;
        if (scale == 0) {
          std::fill_n(row_codes, count / 2, uint8_t{0x88});  // zeros
          std::fill_n(row_multipliers, count / kInt4Group, uint8_t{1});
          std::fill_n(row_errors, count, 0.0f);
          continue;
        }
        round_block(rows.data_ptr<float>() + r * num_columns + first, shares.data_ptr<float>(),
                    count, scale, targets.data_ptr<float>() + r * count, row_errors, row_codes,
                    row_multipliers);
      }
    });
  }
}

}  // namespace e5v::detail
