#include "e5v/lora/lora_storage.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

struct Lora {
  at::Tensor weight, A, B;

  LoraStorage storage(std::shared_ptr<const KeyedDropout> dropout = nullptr) const {
    return {std::make_unique<PlainStorage>(weight), A, B, 2.0, std::move(dropout), /*module=*/3};
  }
};

Lora make_lora() {
  at::manual_seed(5);
  return {at::randn({6, 8}), at::randn({2, 8}).requires_grad_(),
          at::randn({6, 2}).requires_grad_()};
}

TEST(LoraStorageTest, AddsTheScaledUpdate) {
  const Lora lora = make_lora();
  const LoraStorage storage = lora.storage();
  const at::Tensor x = at::randn({5, 8}), bias = at::randn({6});
  const at::Tensor merged = lora.weight + 2.0 * at::mm(lora.B, lora.A);
  EXPECT_THAT(storage.dense(), AllClose(merged, 1e-5));
  EXPECT_THAT(storage.product(x, bias, at::kFloat), AllClose(at::linear(x, merged, bias), 1e-4));
  const at::NoGradGuard no_grad;
  at::Tensor residual = at::ones({5, 6});
  storage.add_product(x, bias, residual);
  EXPECT_THAT(residual, AllClose(at::linear(x, merged, bias) + 1, 1e-4));
}

TEST(LoraStorageTest, GradientsOfBothFactorsAndTheInputAreAutogradsOfTheMergedWeight) {
  const Lora lora = make_lora();
  at::Tensor x = at::randn({5, 8}).requires_grad_();
  lora.storage().product(x, {}, at::kFloat).square().sum().backward();
  const at::Tensor dA = lora.A.grad().clone(), dB = lora.B.grad().clone(), dx = x.grad().clone();
  for (const at::Tensor& leaf : {lora.A, lora.B, x}) leaf.mutable_grad() = at::Tensor();
  at::linear(x, lora.weight + 2.0 * at::mm(lora.B, lora.A)).square().sum().backward();
  EXPECT_THAT(dA, AllClose(lora.A.grad(), 1e-2, 1e-4));
  EXPECT_THAT(dB, AllClose(lora.B.grad(), 1e-2, 1e-4));
  EXPECT_THAT(dx, AllClose(x.grad(), 1e-2, 1e-4));
}

TEST(KeyedDropoutTest, DropsTheShareThatWasAskedForAndKeepsTheMean) {
  KeyedDropout dropout(0.25);
  const at::Tensor x = at::ones({200, 301});
  EXPECT_TRUE(at::equal(dropout.mask(x.size(0), 0).apply(x), x))
      << "nothing is dropped before begin";
  dropout.begin(at::arange(200, at::kLong), at::arange(3, at::kLong));
  const at::Tensor y = dropout.mask(x.size(0), 0).apply(x);
  EXPECT_NEAR((y == 0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
  EXPECT_NEAR(y.mean().item<double>(), 1, 0.015);
  dropout.end();
  EXPECT_TRUE(at::equal(dropout.mask(x.size(0), 0).apply(x), x));
}

TEST(KeyedDropoutTest, AMaskDependsOnTokenAndModuleNotOnTheOrder) {
  KeyedDropout dropout(0.5);
  const at::Tensor x = at::ones({4, 64}), keys = at::tensor({7, 8, 9, 10}, at::kLong);
  dropout.begin(keys, keys.slice(0, 3));
  const at::Tensor first = dropout.mask(x.size(0), 0).apply(x);
  EXPECT_FALSE(at::equal(first, dropout.mask(x.size(0), 1).apply(x)));
  EXPECT_FALSE(at::equal(first[0], first[1]));
  EXPECT_TRUE(at::equal(first[3], dropout.mask(1, 0).apply(x.slice(0, 3))[0]))
      << "the last tokens alone";
  dropout.begin(keys.flip({0}), keys.slice(0, 3));
  EXPECT_TRUE(at::equal(first.flip({0}), dropout.mask(x.size(0), 0).apply(x)));
}

TEST(KeyedDropoutTest, AProbabilityOfOneIsRefused) { EXPECT_THROW(KeyedDropout(1), ConfigError); }

}  // namespace
}  // namespace e5v::detail
