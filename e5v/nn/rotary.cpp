#include "e5v/nn/rotary.h"

#include <cmath>
#include <numbers>

#include "e5v/base/error.h"
#include "e5v/kernels/elementwise.h"
#include "e5v/nn/kernel_tensors.h"
#include "e5v/nn/own_gradient.h"

namespace e5v::detail {
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

std::vector<int64_t> MultimodalRope::axes() const {
  std::vector<int64_t> axes;
  const auto num_axes = static_cast<int64_t>(sections.size());
  for (int64_t axis = 0; axis < num_axes; ++axis) axes.insert(axes.end(), sections[axis], axis);
  if (!interleaved) return axes;
  // The first axis has every frequency that is not another's: its own turns, and all that are left
  // when a section is used up.
  for (int64_t i = 0; i < static_cast<int64_t>(axes.size()); ++i) {
    const int64_t axis = i % num_axes;
    axes[i] = i < num_axes * sections[axis] ? axis : 0;
  }
  return axes;
}

RotaryEmbedding::RotaryEmbedding(int64_t head_dim, double theta,
                                 const std::optional<RopeScaling>& scaling,
                                 const std::optional<MultimodalRope>& multimodal) {
  if (multimodal) {
    num_axes_ = static_cast<int64_t>(multimodal->sections.size());
    axes_ = at::tensor(multimodal->axes(), at::kLong);
    E5V_ASSERT(axes_.size(0) == head_dim / 2);
  }
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
  // Sequences share positions: a row each, then gathered. Not at::cos, whose last bit depends on
  // where a value stands in its tensor.
  const int64_t num_positions = positions.numel() > 0 ? positions.max().item<int64_t>() + 1 : 0;
  const int64_t half = inverse_frequencies_.size(0);
  at::Tensor cos = at::empty({num_positions, half}), sin = at::empty({num_positions, half});
  const float* frequency = inverse_frequencies_.data_ptr<float>();
  for (int64_t p = 0; p < num_positions; ++p) {
    float* cos_row = cos.data_ptr<float>() + p * half;
    float* sin_row = sin.data_ptr<float>() + p * half;
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<float>(p) * frequency[i];  // rounded to float32 first
      cos_row[i] = static_cast<float>(std::cos(angle));
      sin_row[i] = static_cast<float>(std::sin(angle));
    }
  }
  const at::Device device = positions.device();
  const at::Tensor rows = positions.to(at::kCPU);
  if (rows.dim() == 1) {
    return {cos.index_select(0, rows).to(device), sin.index_select(0, rows).to(device)};
  }
  if (rows.size(0) != num_axes_) {
    throw InputError(
        fmt::format("tokens have {} positions each, expected {}", rows.size(0), num_axes_));
  }
  const at::Tensor by_frequency = axes_.defined() ? rows.index_select(0, axes_).t()
                                                  : rows.t().expand({-1, half});  // [T, Dh / 2]
  return {cos.gather(0, by_frequency).to(device), sin.gather(0, by_frequency).to(device)};
}

at::Tensor apply_rotary(const at::Tensor& x, const RotaryEmbedding::Tables& tables) {
  const int64_t T = x.size(0), H = x.size(1), Dh = x.size(2);
  if (!at::GradMode::is_enabled() && fit_kernels(x, tables.cos, tables.sin) && x.stride(1) == Dh) {
    with_data(x, [&](auto* data) {
      rotary(data, x.stride(0), float_data(tables.cos), float_data(tables.sin), T, H, Dh);
    });
    return x;
  }
  if (tracks_gradients(x) && are_kernel_operands(x, tables.cos, tables.sin)) {
    const auto turned = [cos = tables.cos](const at::Tensor& states, const at::Tensor& sin) {
      const at::Tensor out = states.detach().clone(at::MemoryFormat::Contiguous);
      with_data(out, [&](auto* data) {
        rotary(data, out.stride(0), float_data(cos), float_data(sin), out.size(0), out.size(1),
               out.size(2));
      });
      return out;
    };
    // The gradient is turned back.
    const auto backward = [turned,
                           sin = tables.sin](const at::Tensor& dy) -> std::vector<at::Tensor> {
      return {turned(dy, -sin)};
    };
    return with_own_gradient(turned(x, tables.sin), {x}, backward);
  }
  const at::Tensor cos = tables.cos.unsqueeze(1), sin = tables.sin.unsqueeze(1);  // [T, 1, Dh / 2]
  const auto halves = x.to(at::kFloat).chunk(2, -1);
  const at::Tensor rotated = at::cat({halves[0] * cos - halves[1] * sin,  //
                                      halves[1] * cos + halves[0] * sin},
                                     -1)
                                 .to(x.scalar_type());
  return at::GradMode::is_enabled() ? rotated : x.copy_(rotated);
}

}  // namespace e5v::detail
