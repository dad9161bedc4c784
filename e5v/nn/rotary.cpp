#include "e5v/nn/rotary.h"

#include <cmath>
#include <numbers>

#include "e5v/kernels/elementwise.h"
#include "e5v/nn/kernel_tensors.h"

namespace e5v {
namespace {

/// Frequencies whose wavelength exceeds the original context are divided by `factor`, those well
/// inside it stay, those between are blended (`rope_type: llama3` of transformers, Llama 3.1).
at::Tensor scale_llama3(const at::Tensor& frequencies, const RopeScaling& scaling) {
  const auto context = static_cast<double>(scaling.original_max_position_embeddings);
  const double low_wavelength = context / scaling.low_freq_factor;
  const double high_wavelength = context / scaling.high_freq_factor;
  const at::Tensor wavelengths = 2 * std::numbers::pi / frequencies;
  const at::Tensor blend = (context / wavelengths - scaling.low_freq_factor) /
                           (scaling.high_freq_factor - scaling.low_freq_factor);
  const at::Tensor slowed = frequencies / scaling.factor;
  const at::Tensor blended = (1 - blend) * slowed + blend * frequencies;
  return at::where(wavelengths > low_wavelength, slowed,
                   at::where(wavelengths < high_wavelength, frequencies, blended));
}

}  // namespace

RotaryEmbedding::RotaryEmbedding(int64_t head_dim, double theta,
                                 const std::optional<RopeScaling>& scaling) {
  // In float32 throughout, as transformers: at position 8,000 a double would differ by 1e-4.
  const at::Tensor exponents = at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / head_dim;
  inverse_frequencies_ = 1.0 / at::pow(theta, exponents);
  if (!scaling) return;
  if (scaling->kind == RopeScaling::Kind::kLinear) {
    inverse_frequencies_ = inverse_frequencies_ / scaling->factor;
  } else {
    inverse_frequencies_ = scale_llama3(inverse_frequencies_, *scaling);
  }
}

RotaryEmbedding::Tables RotaryEmbedding::tables(const at::Tensor& positions) const {
  const at::Tensor angles = positions.to(at::kFloat).unsqueeze(1) *
                            inverse_frequencies_.to(positions.device()).unsqueeze(0);
  return {angles.cos(), angles.sin()};
}

at::Tensor apply_rotary(const at::Tensor& x, const RotaryEmbedding::Tables& tables) {
  const int64_t T = x.size(0), H = x.size(1), Dh = x.size(2);
  if (!at::GradMode::is_enabled() && fit_kernels(x, tables.cos, tables.sin) && x.stride(1) == Dh) {
    with_data(x, [&](auto* data) {
      rotary(data, x.stride(0), float_data(tables.cos), float_data(tables.sin), T, H, Dh);
    });
    return x;
  }
  const at::Tensor cos = tables.cos.unsqueeze(1), sin = tables.sin.unsqueeze(1);  // [T, 1, Dh / 2]
  const auto halves = x.to(at::kFloat).chunk(2, -1);
  const at::Tensor rotated = at::cat({halves[0] * cos - halves[1] * sin,  //
                                      halves[1] * cos + halves[0] * sin},
                                     -1)
                                 .to(x.scalar_type());
  return at::GradMode::is_enabled() ? rotated : x.copy_(rotated);
}

}  // namespace e5v
