// Modules have two forms: one of ATen's operators, which records gradients, and one of kernels and
// packed weights for inference. They must agree.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "e5v/nn/activation.h"
#include "e5v/nn/fused_linear.h"
#include "e5v/nn/gated_mlp.h"
#include "e5v/nn/norm.h"
#include "e5v/nn/parameter_visitor.h"
#include "e5v/nn/rotary.h"

namespace e5v::detail {
namespace {

/// Gives every parameter random values; packs what can be packed where asked to.
class RandomParameters final : public ParameterVisitor {
 public:
  explicit RandomParameters(bool pack) : pack_(pack) {}

  void tensor(const std::string&, at::Tensor& value, at::IntArrayRef shape) override {
    value = at::randn(shape);
  }

  void linear(const std::string&, Linear& linear) override {
    const at::Tensor weight = random_weight(linear);
    if (pack_) {
      linear.set_weight(std::make_unique<PackedStorage>(PackedWeight(weight, at::kFloat)));
    } else {
      linear.set_weight(std::make_unique<PlainStorage>(weight));
    }
  }

  void fused(FusedLinear& linears) override {
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      linears.part(i).set_weight(std::make_unique<PlainStorage>(random_weight(linears.part(i))));
    }
    if (pack_) linears.pack(float32_form());
  }

 private:
  static at::Tensor random_weight(const Linear& linear) {
    return at::randn({linear.out_features(), linear.in_features()}) * 0.1;
  }

  bool pack_;
};

template <class Module>
void randomize(Module& module, bool pack = false) {
  at::manual_seed(3);
  RandomParameters visitor(pack);
  module.visit_parameters(visitor);
}

void expect_close(const at::Tensor& got, const at::Tensor& expected, double tolerance = 2e-6) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  EXPECT_EQ(got.scalar_type(), expected.scalar_type());
  EXPECT_LE((got - expected).abs().max().item<double>(),
            tolerance * (1 + expected.abs().max().item<double>()));
}

/// bf16 of the same value, or its neighbour where the two forms differ in fp32's last bits.
constexpr double kBfloat16Step = 1.0 / 128;

at::Tensor recorded(const at::Tensor& x) { return x.detach().clone().requires_grad_(); }

TEST(FusedFormsTest, NormsAgree) {
  RMSNorm rms_norm(100, 1e-5);
  LayerNorm layer_norm(100, 1e-5);
  randomize(rms_norm);
  randomize(layer_norm);
  const at::Tensor x = at::randn({2, 7, 100}) * 3 + 1;
  const auto compare = [&](const auto& norm) {
    expect_close(norm.forward(x), norm.forward(recorded(x)));
    expect_close(norm.forward(x, at::kBFloat16), norm.forward(recorded(x), at::kBFloat16),
                 kBfloat16Step);
    // Rows that do not lie end to end take ATen's way.
    const at::Tensor wide = at::cat({x, x}, -1).narrow(-1, 0, 100);
    expect_close(norm.forward(wide), norm.forward(x));
  };
  compare(rms_norm);
  compare(layer_norm);
}

TEST(FusedFormsTest, RotaryAgreesAndTurnsInPlaceWithoutGradient) {
  const RotaryEmbedding rotary(32, 10000, std::nullopt);
  const auto tables = rotary.tables(at::tensor({0, 1, 2, 500, 8000}, at::kLong));
  const at::Tensor fused = at::randn({5, 6, 32});
  const at::Tensor plain = apply_rotary(recorded(fused.narrow(1, 0, 4)), tables);
  const at::Tensor untouched = fused.narrow(1, 4, 2).clone();
  at::NoGradGuard no_grad;
  const at::Tensor heads = fused.narrow(1, 0, 4);
  expect_close(apply_rotary(heads, tables), plain);
  expect_close(heads, plain);
  EXPECT_TRUE(at::equal(fused.narrow(1, 4, 2), untouched));
}

TEST(FusedFormsTest, RotaryTurnsPairsByTheirAngle) {
  const RotaryEmbedding rotary(4, 100, std::nullopt);  // frequencies 1 and 0.1
  at::NoGradGuard no_grad;
  const at::Tensor x = at::tensor({1.0f, 0.0f, 0.0f, 2.0f}).view({1, 1, 4});
  const at::Tensor got = apply_rotary(x, rotary.tables(at::tensor({3}, at::kLong))).flatten();
  const at::Tensor expected =
      at::tensor({std::cos(3.0f), -2 * std::sin(0.3f), std::sin(3.0f), 2 * std::cos(0.3f)});
  expect_close(got, expected, 1e-6);
}

TEST(FusedFormsTest, ActivationsAgree) {
  const at::Tensor x = at::randn({30, 50}) * 4;
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu, Activation::kSilu,
        Activation::kRelu}) {
    expect_close(activate(x, activation), activate(recorded(x), activation), 1e-6);
    expect_close(activate(x.to(at::kBFloat16), activation),
                 activate(x, activation).to(at::kBFloat16), 4 * kBfloat16Step);
  }
}

TEST(FusedFormsTest, GatedMlpsAgreeBlockByBlock) {
  for (const Activation activation : {Activation::kSilu, Activation::kGelu}) {
    GatedMlp plain(24, 40, false, activation), packed(24, 40, false, activation);
    randomize(plain);
    randomize(packed, /*pack=*/true);
    for (const int64_t T : {1, 70, 1024, 1100}) {  // more than a block, too
      const at::Tensor x = at::randn({T, 24}), residual = at::randn({T, 24});
      const at::Tensor expected = plain.add_to(residual, recorded(x));
      at::NoGradGuard no_grad;
      const at::Tensor sum = residual.clone();
      expect_close(packed.add_to(sum, x), expected);
      expect_close(sum, expected);  // in place
    }
  }
}

}  // namespace
}  // namespace e5v::detail
