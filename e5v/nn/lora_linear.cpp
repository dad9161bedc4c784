#include "e5v/nn/lora_linear.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/random.h"

namespace e5v {
namespace {

/// Row t, feature j is `keep` unless 16 bits drawn for it are below `threshold`.
template <class T>
void fill_mask(const int64_t* keys, uint64_t module, uint32_t threshold, T keep, T* mask,
               int64_t rows, int64_t features) {
  constexpr int64_t kPerDraw = 4;
  at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint64_t key = mix64(static_cast<uint64_t>(keys[row]) ^ mix64(module));
      T* out = mask + row * features;
      for (int64_t j = 0; j < features; j += kPerDraw) {
        const uint64_t bits = mix64(key + static_cast<uint64_t>(j));
        const int64_t end_of_draw = std::min(j + kPerDraw, features);
        for (int64_t i = j; i < end_of_draw; ++i) {
          const bool dropped = ((bits >> (16 * (i - j))) & 0xffff) < threshold;
          out[i] = dropped ? T(0) : keep;
        }
      }
    }
  });
}

}  // namespace

KeyedDropout::KeyedDropout(double probability)
    : threshold_(static_cast<uint32_t>(std::lround(probability * 65536))) {
  if (!(probability >= 0 && probability < 1)) {
    throw ConfigError(fmt::format("a dropout of {}, expected 0 or more and below 1", probability));
  }
}

void KeyedDropout::begin(at::Tensor token_keys, at::Tensor last_keys) {
  token_keys_ = std::move(token_keys);
  last_keys_ = std::move(last_keys);
}

void KeyedDropout::end() { begin({}, {}); }

at::Tensor KeyedDropout::apply(const at::Tensor& x, uint64_t module) const {
  if (threshold_ == 0 || !token_keys_.defined()) return x;
  const at::Tensor& keys = x.size(0) == token_keys_.size(0) ? token_keys_ : last_keys_;
  E5V_ASSERT(x.size(0) == keys.size(0));
  const double keep = 65536.0 / (65536.0 - threshold_);
  at::Tensor mask = at::empty(x.sizes(), x.options().requires_grad(false).device(at::kCPU));
  const auto* key = keys.data_ptr<int64_t>();
  if (x.scalar_type() == at::kBFloat16) {
    fill_mask(key, module, threshold_, at::BFloat16(static_cast<float>(keep)),
              mask.data_ptr<at::BFloat16>(), x.size(0), x.size(1));
  } else {
    E5V_ASSERT(x.scalar_type() == at::kFloat);
    fill_mask(key, module, threshold_, static_cast<float>(keep), mask.data_ptr<float>(), x.size(0),
              x.size(1));
  }
  return x * mask.to(x.device());
}

LoraStorage::LoraStorage(std::unique_ptr<LinearStorage> base, at::Tensor A, at::Tensor B,
                         double scale, std::shared_ptr<const KeyedDropout> dropout, uint64_t module)
    : base_(std::move(base)),
      A_(std::move(A)),
      B_(std::move(B)),
      scale_(scale),
      dropout_(std::move(dropout)),
      module_(module) {
  E5V_ASSERT(A_.dim() == 2 && B_.dim() == 2 && A_.size(0) == B_.size(1));
}

at::Tensor LoraStorage::update(const at::Tensor& x) const {
  const at::Tensor input = dropout_ ? dropout_->apply(x, module_) : x;
  const at::Tensor reduced = at::mm(input, A_.to(x.scalar_type()).t());  // [T, rank]
  return at::mm(reduced, (B_ * scale_).to(x.scalar_type()).t());
}

at::Tensor LoraStorage::product(const at::Tensor& x, const at::Tensor& bias,
                                at::ScalarType out_dtype) const {
  return base_->product(x, bias, out_dtype) + update(x).to(out_dtype);
}

void LoraStorage::add_product(const at::Tensor& x, const at::Tensor& bias,
                              at::Tensor& residual) const {
  base_->add_product(x, bias, residual);
  residual.add_(update(x));
}

at::Tensor LoraStorage::dense() const {
  return base_->dense().to(at::kFloat) + scale_ * at::mm(B_, A_);
}

int64_t LoraStorage::num_bytes() const {
  return base_->num_bytes() + static_cast<int64_t>(A_.nbytes() + B_.nbytes());
}

}  // namespace e5v
