#include "e5v/nn/packed_weight.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/kernels/isa.h"
#include "e5v/kernels/quantize.h"

namespace e5v::detail {
namespace {

struct Shape {
  int64_t in_features, out_features;
};
// Also sizes that no block of oneDNN's divides.
const std::vector<Shape> kShapes = {{64, 128}, {2048, 512}, {1, 1},
                                    {17, 3},   {100, 1030}, {588, 77}};

at::ScalarType dtype_of(at::ScalarType precision) {
  return precision == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  return ((got - expected).norm() / expected.norm()).item<double>();
}

/// Rows times `channels`, rotated, as their 8 bits say.
at::Tensor rotated_and_rounded(const at::Tensor& rows, const at::Tensor& channels) {
  const at::Tensor x = rows.to(at::kFloat).contiguous();
  const at::Tensor values = at::empty(x.sizes(), at::kChar), scales = at::empty({x.size(0)});
  rotate_and_quantize(x.data_ptr<float>(), channels.data_ptr<float>(), x.size(0), x.size(1),
                      values.data_ptr<int8_t>(), scales.data_ptr<float>());
  return values.to(at::kDouble) * scales.to(at::kDouble).unsqueeze(1);
}

/// x and weight as the product sees them, multiplied in double.
at::Tensor exact_product(const at::Tensor& x, const at::Tensor& weight, at::ScalarType precision) {
  if (precision == at::kChar) {
    const at::Tensor squares = weight.square().sum(0);
    const at::Tensor channels = (squares / squares.mean().item<double>()).sqrt();
    return at::matmul(rotated_and_rounded(x, channels),
                      rotated_and_rounded(weight, channels.reciprocal()).t());
  }
  const auto seen = [&](const at::Tensor& t) { return t.to(dtype_of(precision)).to(at::kDouble); };
  return at::matmul(seen(x), seen(weight).t());
}

/// A sum of K products in fp32 is within a few √K ulps of the magnitude of its terms. In int8 an
/// element that lies between two steps may be rounded to the other one here.
double tolerance_of(at::ScalarType precision) { return precision == at::kChar ? 3e-3 : 2e-6; }

void expect_product(const at::Tensor& y, const at::Tensor& expected, double tolerance) {
  ASSERT_EQ(y.sizes(), expected.sizes());
  const double error = (y.to(at::kDouble) - expected).abs().max().item<double>();
  const double scale = expected.abs().max().item<double>();
  EXPECT_LE(error, tolerance * (1 + scale));
}

/// oneDNN's products for lesser CPUs add in an order that depends on the number of rows.
bool has_avx512() {
  return highest_isa_level() >= IsaLevel::kAvx512 && std::getenv("DNNL_MAX_CPU_ISA") == nullptr;
}

class PackedWeightTest : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

TEST_P(PackedWeightTest, MultipliesAnyNumberOfRows) {
  for (const auto [in_features, out_features] : kShapes) {
    const at::Tensor weight = at::randn({out_features, in_features});
    const PackedWeight packed(weight, GetParam());
    EXPECT_EQ(packed.in_features(), in_features);
    EXPECT_EQ(packed.out_features(), out_features);
    for (const int64_t rows : {0, 1, 2, 31, 32, 33, 255, 256, 257, 700}) {
      const at::Tensor x = at::randn({rows, in_features});
      const at::Tensor y = packed.matmul(x, {}, at::kFloat);
      if (rows == 0) {
        EXPECT_EQ(y.size(0), 0);
        continue;
      }
      expect_product(y, exact_product(x, weight, GetParam()), tolerance_of(GetParam()));
    }
  }
}

TEST_P(PackedWeightTest, AddsBiasAndAccumulates) {
  const at::Tensor weight = at::randn({200, 96}), bias = at::randn({200});
  const PackedWeight packed(weight, GetParam());
  for (const int64_t rows : {1, 40, 300}) {
    const at::Tensor x = at::randn({rows, 96}), before = at::randn({rows, 200});
    const at::Tensor product = exact_product(x, weight, GetParam());
    expect_product(packed.matmul(x, bias, at::kFloat), product + bias, tolerance_of(GetParam()));
    at::Tensor y = before.clone();
    packed.matmul(x, bias, y, /*accumulate=*/true);
    expect_product(y, before + product + bias, tolerance_of(GetParam()));
    y = before.clone();
    packed.matmul(x, {}, y, /*accumulate=*/true);
    expect_product(y, before + product, tolerance_of(GetParam()));
  }
}

TEST_P(PackedWeightTest, TakesAndGivesBfloat16) {
  const at::Tensor weight = at::randn({200, 96}), bias = at::randn({200});
  const PackedWeight packed(weight, GetParam());
  const at::Tensor x = at::randn({50, 96}).to(at::kBFloat16);
  const at::Tensor expected = exact_product(x, weight, GetParam()) + bias;
  const at::Tensor y = packed.matmul(x, bias, at::kBFloat16);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::allclose(y.to(at::kDouble), expected, /*rtol=*/1.0 / 250, /*atol=*/1e-4));
}

TEST_P(PackedWeightTest, ReadsRowsWithAStride) {
  const at::Tensor weight = at::randn({64, 48});
  const PackedWeight packed(weight, GetParam());
  const at::Tensor wide = at::randn({40, 100});
  const at::Tensor x = wide.narrow(1, 20, 48);
  EXPECT_TRUE(
      at::equal(packed.matmul(x, {}, at::kFloat), packed.matmul(x.contiguous(), {}, at::kFloat)));
}

// Others' most frequent defect: results that depend on what else is in the batch.
TEST_P(PackedWeightTest, ARowHardlyDependsOnTheBatchAndInFloat32NotAtAll) {
  for (const auto [in_features, out_features] : {Shape{512, 640}, Shape{2048, 300}}) {
    const PackedWeight packed(at::randn({out_features, in_features}), GetParam());
    const at::Tensor x = at::randn({800, in_features});
    const at::Tensor all = packed.matmul(x, {}, at::kFloat);
    for (const auto& [begin, rows] : std::vector<std::pair<int64_t, int64_t>>{
             {0, 1}, {5, 1}, {31, 2}, {100, 33}, {250, 256}, {300, 257}, {700, 100}, {799, 1}}) {
      const at::Tensor part = packed.matmul(x.narrow(0, begin, rows), {}, at::kFloat);
      const at::Tensor expected = all.narrow(0, begin, rows);
      if (GetParam() != at::kBFloat16 && has_avx512()) {
        EXPECT_TRUE(at::equal(part, expected)) << begin << "+" << rows;
      } else {
        expect_product(part, expected.to(at::kDouble), 4e-6);
      }
    }
  }
}

TEST_P(PackedWeightTest, BitsDoNotDependOnTheNumberOfThreads) {
  const PackedWeight packed(at::randn({640, 512}), GetParam());
  const at::Tensor x = at::randn({300, 512});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = packed.matmul(x, {}, at::kFloat);
  at::set_num_threads(2);
  const at::Tensor two = packed.matmul(x, {}, at::kFloat);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

TEST_P(PackedWeightTest, UnpacksWhatItPacked) {
  if (GetParam() == at::kChar) {
    const at::Tensor weight = at::randn({300, 588});
    EXPECT_LT(relative_error(PackedWeight(weight, GetParam()).unpack(at::kFloat), weight), 0.01);
    return;
  }
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto [in_features, out_features] : kShapes) {
      const at::Tensor weight = at::randn({out_features, in_features}).to(dtype);
      const PackedWeight packed(weight, GetParam());
      EXPECT_TRUE(
          at::equal(packed.unpack(at::kFloat), weight.to(dtype_of(GetParam())).to(at::kFloat)));
      EXPECT_GE(packed.num_bytes(),
                static_cast<size_t>(weight.numel()) * at::elementSize(dtype_of(GetParam())));
    }
  }
}

TEST_P(PackedWeightTest, ServesSeveralThreadsAtOnce) {
  const PackedWeight packed(at::randn({300, 256}), GetParam());
  const at::Tensor x = at::randn({70, 256});
  const at::Tensor expected = packed.matmul(x, {}, at::kFloat);
  std::vector<at::Tensor> results(4);
  std::vector<std::thread> threads;
  for (at::Tensor& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) result = packed.matmul(x, {}, at::kFloat);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const at::Tensor& result : results) EXPECT_TRUE(at::equal(result, expected));
}

TEST_P(PackedWeightTest, RefusesWhatDoesNotFit) {
  EXPECT_THROW(PackedWeight(at::randn({4}), GetParam()), InputError);
  EXPECT_THROW(PackedWeight(at::ones({4, 4}, at::kLong), GetParam()), InputError);
  EXPECT_THROW(PackedWeight(at::Tensor(), GetParam()), InputError);
  const PackedWeight packed(at::randn({8, 4}), GetParam());
  at::Tensor y = at::empty({3, 8});
  EXPECT_THROW(packed.matmul(at::randn({3, 5}), {}, y), InputError);
  EXPECT_THROW(packed.matmul(at::randn({2, 4}), {}, y), InputError);
  EXPECT_THROW(packed.matmul(at::randn({3, 4}), at::randn({7}), y), InputError);
  EXPECT_THROW(packed.matmul(at::randn({3, 4}), {}, y.t()), InputError);
  EXPECT_THROW(packed.matmul(at::randn({3, 4}), {}, y.to(at::kBFloat16), true), InputError);
}

INSTANTIATE_TEST_SUITE_P(Precisions, PackedWeightTest,
                         ::testing::Values(at::kFloat, at::kBFloat16, at::kChar),
                         [](const auto& info) -> std::string {
                           switch (info.param) {
                             case at::kFloat:
                               return "fp32";
                             case at::kBFloat16:
                               return "bf16";
                             default:
                               return "int8";
                           }
                         });

/// A Gaussian rounded to 8 bits by its largest of n is off by about √(2 ln n) / (127 √3 · √2).
TEST(Int8WeightTest, GaussianOperandsLoseAboutAPercent) {
  const at::Tensor x = at::randn({100, 2048}), weight = at::randn({512, 2048});
  const PackedWeight packed(weight, at::kChar);
  EXPECT_LT(relative_error(packed.matmul(x, {}, at::kFloat), at::matmul(x, weight.t())), 0.015);
}

TEST(Int8WeightTest, ChannelsOfOtherSizesCostNothing) {
  at::Tensor x = at::randn({100, 2048}), weight = at::randn({512, 2048});
  // What trained models do: a few channels are large, and the next weight makes up for it.
  for (const auto& [channel, factor] : {std::pair{3, 50.0}, {700, 1000.0}, {1500, -300.0}}) {
    x.select(1, channel).mul_(factor);
    weight.select(1, channel).div_(factor);
  }
  const PackedWeight packed(weight, at::kChar);
  EXPECT_LT(relative_error(packed.matmul(x, {}, at::kFloat), at::matmul(x, weight.t())), 0.015);
}

TEST(Int8WeightTest, AMassiveTokenLosesNoMoreThanOthers) {
  at::Tensor x = at::randn({100, 2048});
  x[0].mul_(1000);
  x[0][9] = 2e6;  // one channel of one token above all
  const at::Tensor weight = at::randn({512, 2048});
  const PackedWeight packed(weight, at::kChar);
  const at::Tensor y = packed.matmul(x, {}, at::kFloat), expected = at::matmul(x, weight.t());
  EXPECT_LT(relative_error(y[0], expected[0]), 0.015);
  EXPECT_LT(relative_error(y.narrow(0, 1, 99), expected.narrow(0, 1, 99)), 0.015);
}

TEST(Int8WeightTest, ColumnsOfZerosStayZero) {
  at::Tensor weight = at::randn({64, 32});
  weight.select(1, 5).zero_();
  const PackedWeight packed(weight, at::kChar);
  EXPECT_EQ(packed.unpack(at::kFloat).select(1, 5).abs().max().item<float>(), 0);
  EXPECT_EQ(PackedWeight(at::zeros({4, 8}), at::kChar)
                .matmul(at::randn({3, 8}), {}, at::kFloat)
                .abs()
                .max()
                .item<float>(),
            0);
}

}  // namespace
}  // namespace e5v::detail
