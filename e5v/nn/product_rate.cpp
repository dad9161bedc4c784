#include "e5v/nn/product_rate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>

#include "e5v/nn/packed_panels.h"
#include "e5v/nn/packed_weight.h"

namespace e5v::detail {
namespace {

constexpr int64_t kRows = 1024, kFeatures = 2048;
constexpr int kMinRepetitions = 5;
constexpr double kMinSeconds = 0.25;

template <class Product>
double rate_of(const Product& product) {
  using Clock = std::chrono::steady_clock;
  product();  // generates code, touches memory
  double best = 1e300, total = 0;
  for (int i = 0; i < kMinRepetitions || total < kMinSeconds; ++i) {
    const auto start = Clock::now();
    product();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return 2.0 * kRows * kFeatures * kFeatures / best / 1e9;
}

double rate_of_packed(at::ScalarType dtype) {
  const PackedWeight weight(at::ones({kFeatures, kFeatures}), dtype);
  const at::Tensor x = at::ones({kRows, kFeatures}, dtype),
                   y = at::empty({kRows, kFeatures}, dtype);
  return rate_of([&] { weight.matmul(x, {}, y); });
}

double rate_of_int8() {
  using DataType = PackedPanels::DataType;
  PackedPanels weight(kFeatures, kFeatures, DataType::s8);
  const at::Tensor rows = at::ones({kFeatures, kFeatures}, at::kChar);
  for (int64_t i = 0; i < weight.num_panels(); ++i) weight.pack(i, rows.data_ptr());
  const at::Tensor x = at::ones({kRows, kFeatures}, at::kChar);
  const at::Tensor y = at::empty({kRows, kFeatures}, at::kInt);
  return rate_of([&] {
    weight.multiply(x.data_ptr(), kRows, nullptr, y.data_ptr(), DataType::s32,
                    /*accumulate=*/false);
  });
}

}  // namespace

double measure_product_rate(at::ScalarType dtype) {
  if (dtype != at::kChar) return rate_of_packed(dtype);
  try {
    return rate_of_int8();
  } catch (const dnnl::error&) {
    return 0;
  }
}

}  // namespace e5v::detail
