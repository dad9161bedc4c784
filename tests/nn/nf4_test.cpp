#include "e5v/nn/nf4.h"

#include <gmock/gmock.h>

#include <limits>

#include "e5v/base/error.h"
#include "tests/support/all_close.h"
#include "tests/support/golden.h"

namespace e5v::detail {
namespace {

TEST(Nf4GoldenTest, EqualsAnIndependentImplementation) {
  const Golden golden = load_golden("train_nf4");
  const Nf4Tensor tensor = quantize_nf4(golden.expected("weight"));
  EXPECT_TRUE(at::equal(tensor.codes, golden.expected("codes")));
  EXPECT_TRUE(at::equal(tensor.absmax, golden.expected("absmax")));
  EXPECT_TRUE(at::equal(tensor.nested_absmax, golden.expected("nested_absmax")));
  EXPECT_EQ(tensor.offset, golden.expected("offset").item<float>());
  // The last bit of the 8-bit type's values depends on how torch's linspace was compiled.
  EXPECT_THAT(dequantize_nf4(tensor, at::kFloat), AllClose(golden.expected("values"), 1e-10, 3e-7));
  const at::Tensor map = golden.expected("dynamic_map");
  for (int64_t i = 0; i < 256; ++i) {
    EXPECT_FLOAT_EQ(dynamic_values()[static_cast<size_t>(i)], map[i].item<float>()) << i;
  }
}

TEST(Nf4Test, HoldsNormalWeightsInAQuarterOfTheBitsOfBfloat16) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({256, 512}) * 0.02;
  const Nf4Tensor tensor = quantize_nf4(weight);
  EXPECT_NEAR(static_cast<double>(tensor.num_bytes()) * 8 / static_cast<double>(weight.numel()),
              4.127, 0.01);
  const at::Tensor error = dequantize_nf4(tensor, at::kFloat) - weight;
  EXPECT_LT((error.norm() / weight.norm()).item<double>(), 0.1);
}

TEST(Nf4Test, OddSizesAndBlocksOfZerosAreKept) {
  for (const int64_t size : {0, 1, 63, 65, 129}) {
    const at::Tensor zeros = at::zeros({size});
    EXPECT_TRUE(at::equal(dequantize_nf4(quantize_nf4(zeros), at::kFloat), zeros));
    const at::Tensor ones = at::ones({size});
    EXPECT_THAT(dequantize_nf4(quantize_nf4(ones), at::kFloat), AllClose(ones, 1e-6));
  }
}

TEST(Nf4Test, AWeightThatIsNotFiniteIsRefused) {
  at::Tensor weight = at::ones({100});
  weight[70] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(quantize_nf4(weight), InputError);
}

TEST(Nf4Test, ProductAndItsGradientAreThoseOfTheWideWeight) {
  at::manual_seed(3);
  const Nf4Storage storage(at::randn({24, 40}));
  const at::Tensor bias = at::randn({24});
  at::Tensor x = at::randn({7, 40}).requires_grad_(), plain = x.detach().clone().requires_grad_();
  const at::Tensor y = storage.product(x, bias, at::kFloat);
  const at::Tensor expected = at::linear(plain, storage.dense(), bias);
  EXPECT_THAT(y, AllClose(expected, 1e-5));
  (y * y).sum().backward();
  (expected * expected).sum().backward();
  EXPECT_THAT(x.grad(), AllClose(plain.grad(), 1e-3, 1e-5));
  at::Tensor residual = at::ones({7, 24});
  const at::NoGradGuard no_grad;
  storage.add_product(x, bias, residual);
  EXPECT_THAT(residual, AllClose(expected + 1, 1e-5));
}

TEST(Nf4Test, Bfloat16OperandsGiveBfloat16Products) {
  at::manual_seed(4);
  const Nf4Storage storage(at::randn({16, 64}) * 0.1);
  at::Tensor x = at::randn({5, 64}).to(at::kBFloat16).requires_grad_();
  const at::Tensor y = storage.product(x, {}, at::kFloat);
  EXPECT_EQ(y.scalar_type(), at::kFloat);
  EXPECT_THAT(y, AllClose(at::mm(x.to(at::kFloat), storage.dense().t()), 0.05));
  y.sum().backward();
  EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace e5v::detail
