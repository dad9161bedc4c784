#include "e5v/nn/quantized_weight.h"

#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/nn/nf4.h"
#include "e5v/nn/rounded_forms.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {
namespace {

double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  return ((got - expected).norm() / expected.norm()).item<double>();
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble).flatten(), y = b.to(at::kDouble).flatten();
  return (x.dot(y) / (x.norm() * y.norm())).item<double>();
}

/// x [100, 2048] and weight [512, 2048] as trained models have them: a few channels are 50 to 1000
/// times the others, the weights make up for it, and one token is above all others.
struct PlantedOutliers {
  at::Tensor x = at::randn({100, 2048}), weight = at::randn({512, 2048});

  PlantedOutliers() {
    for (const auto& [channel, factor] : {std::pair{3, 50.0}, {700, 1000.0}, {1500, -300.0}}) {
      x.select(1, channel).mul_(factor);
      weight.select(1, channel).div_(factor);
    }
    x[0].mul_(1000);
  }
};

class RoundedWeightTest : public testing::TestWithParam<const RoundedForm*> {
 protected:
  void SetUp() override { at::manual_seed(11); }
};

TEST_P(RoundedWeightTest, ProductsAreThoseOfTheDenseWeight) {
  for (const auto& [in_features, out_features] :
       {std::pair<int64_t, int64_t>{2048, 512}, {64, 128}, {588, 77}, {100, 300}, {17, 3}}) {
    const at::Tensor bias = at::randn({out_features});
    const auto storage = GetParam()->make_storage({at::randn({out_features, in_features})});
    const at::Tensor dense = storage->dense();
    ASSERT_EQ(dense.sizes(), at::IntArrayRef({out_features, in_features}));
    for (const int64_t rows : {0, 1, 33, 300}) {
      const at::Tensor x = at::randn({rows, in_features}).to(at::kBFloat16);
      const at::Tensor expected = at::linear(x.to(at::kFloat), dense, bias);
      const at::Tensor y = storage->product(x, bias, at::kFloat);
      ASSERT_EQ(y.sizes(), expected.sizes());
      if (rows == 0) continue;
      // int8 and int4 round x to 8 bits.
      EXPECT_LT(relative_error(y, expected), 0.012);
      at::Tensor sum = at::ones({rows, out_features});
      storage->add_product(x, bias, sum);
      EXPECT_LT(relative_error(sum, expected + 1), 0.012);
      EXPECT_LT(relative_error(storage->product(x, {}, at::kBFloat16).to(at::kFloat),
                               at::linear(x.to(at::kFloat), dense)),
                0.012);
    }
  }
}

TEST_P(RoundedWeightTest, PlantedOutliersLeaveTheDirection) {
  const PlantedOutliers planted;
  const at::Tensor expected = at::matmul(planted.x, planted.weight.t());
  const at::Tensor y =
      GetParam()->make_storage({planted.weight})->product(planted.x, {}, at::kFloat);
  const double least = GetParam()->name() == "int8" ? 0.9998 : 0.99;
  for (int64_t token = 0; token < 100; ++token) {
    EXPECT_GE(cosine(y[token], expected[token]), least) << token;
  }
}

TEST_P(RoundedWeightTest, LosesWhatItsBitsMust) {
  const at::Tensor weight = at::randn({512, 2048});
  const double error = relative_error(GetParam()->make_storage({weight})->dense(), weight);
  if (GetParam()->name() == "int8") {
    EXPECT_LT(error, 0.01);
  } else {  // of a Gaussian: int4 0.089, nf4 0.092
    EXPECT_LT(error, 0.094);
    EXPECT_GT(error, 0.08);
  }
}

TEST_P(RoundedWeightTest, WhatWasRoundedBeforeGivesTheSameBits) {
  const std::vector<at::Tensor> parts = {at::randn({96, 128}), at::randn({32, 128}),
                                         at::randn({5, 128})};
  const std::vector<RoundedPart> rounded = GetParam()->round(parts);
  ASSERT_EQ(rounded.size(), parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto expected = GetParam()->tensors(parts[i].size(0), parts[i].size(1));
    ASSERT_EQ(rounded[i].size(), expected.size());
    for (size_t t = 0; t < expected.size(); ++t) {
      EXPECT_EQ(rounded[i][t].sizes(), at::IntArrayRef(expected[t].shape));
      EXPECT_EQ(rounded[i][t].scalar_type(), expected[t].dtype);
    }
  }
  const at::Tensor x = at::randn({9, 128}).to(at::kBFloat16);
  const at::Tensor at_once = GetParam()->make_storage(parts)->product(x, {}, at::kFloat);
  EXPECT_EQ(at_once.size(1), 133);
  EXPECT_TRUE(at::equal(GetParam()->load(rounded, 128)->product(x, {}, at::kFloat), at_once));
}

TEST_P(RoundedWeightTest, TakesAWeightOfZeros) {
  const auto storage = GetParam()->make_storage({at::zeros({8, 64})});
  EXPECT_EQ(storage->product(at::randn({3, 64}), {}, at::kFloat).abs().max().item<float>(), 0);
}

INSTANTIATE_TEST_SUITE_P(Forms, RoundedWeightTest,
                         testing::Values(&int8_form(), &int4_form(), &nf4_form()),
                         [](const auto& info) { return std::string(info.param->name()); });

TEST(QuantizedWeightTest, Int4TakesHalfTheMemoryOfInt8) {
  const at::Tensor weight = at::randn({512, 2048});
  const auto int4 = int4_form().make_storage({weight});
  EXPECT_LE(int4->num_bytes(), weight.numel() * 4.35 / 8);
  EXPECT_LE(nf4_form().make_storage({weight})->num_bytes(), weight.numel() * 4.2 / 8);
}

TEST(QuantizedWeightTest, PartsEndToEndAreTheWholeWeight) {
  at::manual_seed(4);
  // Panels of 256 rows: the first part ends within one, the second begins and ends within another.
  const Int8Tensor whole = quantize_int8(at::randn({600, 64}));
  std::vector<Int8Tensor> parts;
  int64_t first = 0;
  for (const int64_t rows : {300, 40, 260}) {
    parts.push_back(
        {whole.values.narrow(0, first, rows), whole.scales.narrow(0, first, rows), whole.channels});
    first += rows;
  }
  const at::Tensor expected = PackedWeight({whole}).unpack(at::kFloat);
  EXPECT_TRUE(at::equal(PackedWeight(parts).unpack(at::kFloat), expected));
}

/// The relative error of products with `inputs` of a weight that was rounded for `calibration`.
double product_error(const at::Tensor& weight, const at::Tensor& calibration,
                     const at::Tensor& inputs) {
  const Int4Storage storage(quantize_int4(weight, calibration));
  const at::Tensor dense = storage.dense();
  return relative_error(at::matmul(inputs, dense.t()), at::matmul(inputs, weight.t()));
}

TEST(QuantizedWeightTest, Int4RoundedForItsInputsLosesLessOfTheirProducts) {
  at::manual_seed(12);
  // Inputs near a subspace of 40 dimensions; fewer of them than of channels, and no whole group.
  const int64_t size = 600;
  const at::Tensor subspace = at::randn({40, size}), weight = at::randn({300, size});
  const auto draw = [&](int64_t rows) {
    return at::matmul(at::randn({rows, 40}), subspace) + 0.5 * at::randn({rows, size});
  };
  const at::Tensor calibration = draw(400), others = draw(100);
  const double nearest = product_error(weight, {}, others);
  EXPECT_LT(product_error(weight, calibration, others), 0.5 * nearest);
  EXPECT_LT(product_error(weight, calibration.to(at::kBFloat16), others), 0.5 * nearest);
  // Where inputs have no direction, nothing is to be gained; nor lost.
  const at::Tensor white = at::randn({4000, size});
  EXPECT_LT(product_error(weight, white, at::randn({100, size})), 1.05 * nearest);
}

TEST(QuantizedWeightTest, Int4RoundedForInputsOfZerosIsRoundedToTheNearest) {
  at::manual_seed(13);
  at::Tensor weight = at::randn({40, 100});
  weight[7].zero_();
  const Int4Tensor nearest = quantize_int4(weight);
  const Int4Tensor rounded = quantize_int4(weight, at::zeros({9, 100}));
  EXPECT_TRUE(at::equal(rounded.codes, nearest.codes));
  EXPECT_TRUE(at::equal(rounded.multipliers, nearest.multipliers));
  EXPECT_TRUE(at::equal(rounded.scales, nearest.scales));
  EXPECT_TRUE(at::equal(rounded.channels, nearest.channels));
}

TEST(QuantizedWeightTest, RefusesInputsThatAreNotFinite) {
  at::Tensor inputs = at::ones({3, 64});
  inputs[1][2] = NAN;
  EXPECT_THROW(quantize_int4(at::ones({4, 64}), inputs), InputError);
}

TEST(QuantizedWeightTest, RefusesTensorsThatDoNotFitEachOther) {
  Int4Tensor good = quantize_int4(at::randn({8, 64}));
  Int4Tensor bad = good;
  bad.channels = at::ones({65});
  EXPECT_THROW(Int4Storage{bad}, InputError);
  bad = good;
  bad.codes = good.codes.to(at::kChar);
  EXPECT_THROW(Int4Storage{bad}, InputError);
  Int8Tensor int8 = quantize_int8(at::randn({8, 64}));
  int8.scales = at::ones({7});
  EXPECT_THROW(PackedWeight({int8}), InputError);
  int8 = quantize_int8(at::randn({8, 64}));
  EXPECT_THROW(PackedWeight({int8, quantize_int8(at::randn({8, 64}))}), InputError);
  std::vector<RoundedPart> parts = int4_form().round({at::randn({8, 64}), at::randn({8, 64})});
  parts[1][3] = parts[1][3] + 1;
  EXPECT_THROW(int4_form().load(parts, 64), InputError);
}

}  // namespace
}  // namespace e5v::detail
