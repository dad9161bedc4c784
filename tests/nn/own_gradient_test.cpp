// Every backward that is written by hand, against autograd of the plain form or finite differences.

#include "e5v/nn/own_gradient.h"

#include <gmock/gmock.h>

#include <functional>
#include <utility>

#include "e5v/kernels/isa.h"
#include "e5v/lora/lora_storage.h"
#include "e5v/nn/gated_mlp.h"
#include "e5v/nn/nf4.h"
#include "e5v/nn/norm.h"
#include "e5v/nn/packed_attention.h"
#include "e5v/nn/recompute.h"
#include "e5v/nn/rotary.h"
#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(); }

/// Of Σ f(inputs) · c, c random but the same at each call.
std::vector<at::Tensor> gradients(const Function& f, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves, result;
  for (const at::Tensor& input : inputs) leaves.push_back(leaf(input));
  const at::Tensor y = f(leaves);
  at::manual_seed(11);
  (y.to(at::kFloat) * at::randn(y.sizes())).sum().backward();
  for (const at::Tensor& one : leaves) result.push_back(one.grad().clone());
  return result;
}

/// The same by central differences along one random direction for each input, as (got, expected).
std::vector<std::pair<double, double>> directional(const Function& f,
                                                   const std::vector<at::Tensor>& inputs,
                                                   double step) {
  const auto analytic = gradients(f, inputs);
  const auto value = [&](const std::vector<at::Tensor>& at_inputs) {
    const at::NoGradGuard no_grad;
    const at::Tensor y = f(at_inputs);
    at::manual_seed(11);
    return (y.to(at::kDouble) * at::randn(y.sizes()).to(at::kDouble)).sum().item<double>();
  };
  std::vector<std::pair<double, double>> result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    at::manual_seed(12 + i);
    const at::Tensor direction = at::randn(inputs[i].sizes());
    auto above = inputs, below = inputs;
    above[i] = inputs[i] + step * direction;
    below[i] = inputs[i] - step * direction;
    result.emplace_back((analytic[i] * direction).sum().item<double>(),
                        (value(above) - value(below)) / (2 * step));
  }
  return result;
}

void expect_equal_gradients(const Function& own, const Function& plain,
                            const std::vector<at::Tensor>& inputs, double tolerance) {
  const auto got = gradients(own, inputs), expected = gradients(plain, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double error =
        ((got[i] - expected[i]).norm() / expected[i].norm()).to(at::kDouble).item<double>();
    EXPECT_LE(error, tolerance) << "input " << i;
  }
}

void expect_finite_differences(const Function& f, const std::vector<at::Tensor>& inputs,
                               double tolerance = 1e-3) {
  for (const auto& [got, expected] : directional(f, inputs, 1e-2)) {
    EXPECT_NEAR(got, expected, tolerance * (1 + std::abs(expected)));
  }
}

/// fp32 sums in another order; a bf16 operand or result is rounded by up to 2^-9.
constexpr double kFloat32 = 2e-6, kBFloat16 = 6e-3;

class OwnGradientTest : public ::testing::Test {
 protected:
  OwnGradientTest() { at::manual_seed(8); }
};

class OwnGradientLevelTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  OwnGradientLevelTest() { at::manual_seed(8); }
  ForcedIsaLevel level_{GetParam()};
};

TEST_P(OwnGradientLevelTest, RmsNorm) {
  RMSNorm norm(37, 1e-5);
  const at::Tensor weight = at::randn({37});
  struct Setter final : ParameterVisitor {
    explicit Setter(at::Tensor w) : weight(std::move(w)) {}
    void tensor(const std::string&, at::Tensor& value, at::IntArrayRef) override { value = weight; }
    void linear(const std::string&, Linear&) override {}
    at::Tensor weight;
  } setter(weight);
  norm.visit_parameters(setter);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    expect_equal_gradients([&](const auto& in) { return norm.forward(in[0], dtype); },
                           [&](const auto& in) {
                             return in[0] * at::rsqrt(in[0].square().mean(-1, true) + 1e-5) *
                                    weight;
                           },
                           {at::randn({9, 37}) * 3}, dtype == at::kFloat ? kFloat32 : kBFloat16);
  }
}

TEST_P(OwnGradientLevelTest, Rotary) {
  const RotaryEmbedding rotary(20, 100, std::nullopt);
  const auto tables = rotary.tables(at::tensor({0, 3, 8}, at::kLong));
  const at::Tensor cos = tables.cos.unsqueeze(1), sin = tables.sin.unsqueeze(1);
  expect_equal_gradients(
      [&](const auto& in) { return apply_rotary(in[0], tables); },
      [&](const auto& in) {
        const auto halves = in[0].chunk(2, -1);
        return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
      },
      {at::randn({3, 4, 20})}, kFloat32);
}

struct MlpWeights final : ParameterVisitor {
  explicit MlpWeights(at::ScalarType dtype_) : dtype(dtype_) {}
  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}
  void linear(const std::string&, Linear& linear) override {
    weights.push_back((at::randn({linear.out_features(), linear.in_features()}) * 0.3).to(dtype));
    linear.set_weight(std::make_unique<PlainStorage>(weights.back()));
  }
  at::ScalarType dtype;
  std::vector<at::Tensor> weights;
};

TEST_P(OwnGradientLevelTest, GatedMlp) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    GatedMlp mlp(24, 53, false, Activation::kSilu);
    MlpWeights weights(dtype);
    mlp.visit_parameters(weights);
    const auto w = [&](size_t i) { return weights.weights[i].to(at::kFloat).t(); };
    expect_equal_gradients(
        [&](const auto& in) { return mlp.add_to(in[0], in[1].to(dtype)); },
        [&](const auto& in) {
          const at::Tensor inner = at::silu(at::mm(in[1], w(0))) * at::mm(in[1], w(1));
          return in[0] + at::mm(inner, w(2));
        },
        {at::randn({40, 24}), at::randn({40, 24})}, dtype == at::kFloat ? kFloat32 : 2 * kBFloat16);
  }
}

TEST_P(OwnGradientLevelTest, PackedAttention) {
  const at::Tensor cu = at::tensor({0, 1, 6, 8, 19}, at::kInt);
  const at::Tensor cu_last = at::arange(5, at::kInt);
  const at::Tensor k = at::randn({19, 2, 12}), v = at::randn({19, 2, 12});
  for (const bool last_only : {false, true}) {
    const at::Tensor& cu_q = last_only ? cu_last : cu;
    const at::Tensor q = at::randn({last_only ? 4 : 19, 4, 12});
    for (const bool causal : {true, false}) {
      PackedAttentionOptions options;
      options.causal = causal;
      const auto attention = [&](const auto& in) {
        return packed_attention(in[0], in[1], in[2], cu_q, cu, options);
      };
      expect_finite_differences(attention, {q, k, v});
      expect_equal_gradients(
          attention,
          [&](const auto& in) {
            return packed_attention_plain(in[0], in[1], in[2], cu_q, cu, options);
          },
          {q, k, v}, 5e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, OwnGradientLevelTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return to_string(info.param); });

TEST_F(OwnGradientTest, FrozenProductsOfEveryShape) {
  // One row and some, one panel and several, sizes that no block divides.
  for (const auto& [T, in, out] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 8, 8}, {5, 40, 33}, {300, 96, 600}, {129, 2100, 70}, {33, 70, 2100}}) {
    const at::Tensor weight = at::randn({out, in}) * 0.1, x = at::randn({T, in});
    const PlainStorage bf16(weight.to(at::kBFloat16));
    const Nf4Storage nf4(weight);
    for (const LinearStorage* storage :
         {static_cast<const LinearStorage*>(&bf16), static_cast<const LinearStorage*>(&nf4)}) {
      const at::Tensor dense = storage->dense().to(at::kFloat);
      const auto own = [&](const std::vector<at::Tensor>& inputs) {
        return storage->product(inputs[0].to(at::kBFloat16), {}, at::kFloat);
      };
      const auto plain = [&](const std::vector<at::Tensor>& inputs) {
        return at::mm(inputs[0].to(at::kBFloat16).to(at::kFloat), dense.t());
      };
      EXPECT_LE(((own({x}) - plain({x})).norm() / plain({x}).norm()).item<double>(), kBFloat16)
          << T << " " << in << " " << out;
      expect_equal_gradients(own, plain, {x}, kBFloat16);
    }
  }
}

TEST_F(OwnGradientTest, Nf4) {
  const Nf4Storage storage(at::randn({24, 40}) * 0.2);
  expect_finite_differences([&](const auto& in) { return storage.product(in[0], {}, at::kFloat); },
                            {at::randn({7, 40})});
}

TEST_F(OwnGradientTest, LoraWithDropout) {
  KeyedDropout keyed(0.3);
  keyed.begin(at::arange(100, 107, at::kLong), at::arange(2, at::kLong));
  const auto dropout = std::make_shared<KeyedDropout>(keyed);
  const at::Tensor weight = at::randn({6, 9}), mask = dropout->mask(7, 5).apply(at::ones({7, 9}));
  EXPECT_LT(mask.min().item<double>(), 0.5) << "nothing is dropped";
  const Function own = [&](const std::vector<at::Tensor>& in) {
    static std::vector<std::unique_ptr<LoraStorage>> storages;  // outlive the backward
    storages.push_back(std::make_unique<LoraStorage>(std::make_unique<PlainStorage>(weight), in[1],
                                                     in[2], 0.5, dropout, /*module=*/5));
    return storages.back()->product(in[0], {}, at::kFloat);
  };
  const std::vector<at::Tensor> inputs = {at::randn({7, 9}), at::randn({3, 9}), at::randn({6, 3})};
  expect_finite_differences(own, inputs);
  expect_equal_gradients(
      own,
      [&](const auto& in) {
        return at::mm(in[0], weight.t()) + 0.5 * at::mm(at::mm(in[0] * mask, in[1].t()), in[2].t());
      },
      inputs, kFloat32);
}

TEST_F(OwnGradientTest, Recompute) {
  const at::Tensor weight = at::randn({5, 5});
  expect_finite_differences(
      [&](const auto& in) {
        return recompute([&](const at::Tensor& x) { return at::tanh(at::mm(x, weight)); }, in[0]);
      },
      {at::randn({3, 5})});
}

TEST_F(OwnGradientTest, IsTheTensorItselfWhereNothingIsRecorded) {
  const at::Tensor x = at::randn({3});
  const auto never = [](const at::Tensor&) -> std::vector<at::Tensor> { return {}; };
  EXPECT_FALSE(with_own_gradient(x * 2, {x}, never).requires_grad());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(with_own_gradient(x * 2, {leaf(x)}, never).requires_grad());
}

}  // namespace
}  // namespace e5v::detail
