#include "e5v/nn/keyed_dropout.h"

#include <cmath>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/random.h"
#include "e5v/kernels/elementwise.h"
#include "e5v/nn/kernel_tensors.h"

namespace e5v::detail {

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

KeyedDropout::Mask KeyedDropout::mask(int64_t num_rows, uint64_t module) const {
  if (threshold_ == 0 || !token_keys_.defined()) return {};
  const at::Tensor& keys = num_rows == token_keys_.size(0) ? token_keys_ : last_keys_;
  E5V_ASSERT(num_rows == keys.size(0));
  return {keys, module, threshold_};
}

at::Tensor KeyedDropout::Mask::apply(const at::Tensor& x) const {
  if (!keys_.defined()) return x;
  const at::NoGradGuard no_grad;
  const at::Tensor dense = x.to(at::kCPU).contiguous(), out = at::empty_like(dense);
  const auto keep = static_cast<float>(65536.0 / (65536.0 - threshold_));
  const auto* keys = keys_.data_ptr<int64_t>();
  std::vector<uint64_t> row_keys(static_cast<size_t>(x.size(0)));
  for (size_t row = 0; row < row_keys.size(); ++row) {
    row_keys[row] = mix64(static_cast<uint64_t>(keys[row]) ^ mix64(module_));
  }
  with_data(out, [&](auto* to) {
    drop(static_cast<const decltype(to)>(dense.data_ptr()), row_keys.data(), threshold_, keep,
         x.size(0), x.size(1), to);
  });
  return out.to(x.device());
}

}  // namespace e5v::detail
