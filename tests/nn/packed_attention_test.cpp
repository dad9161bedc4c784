#include "e5v/nn/packed_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

at::Tensor offsets(const std::vector<int64_t>& lengths, at::ScalarType dtype = at::kLong) {
  std::vector<int64_t> sums = {0};
  for (const int64_t length : lengths) sums.push_back(sums.back() + length);
  return at::tensor(sums, at::kLong).to(dtype);
}

int64_t total(const std::vector<int64_t>& lengths) {
  int64_t sum = 0;
  for (const int64_t length : lengths) sum += length;
  return sum;
}

struct Shape {
  int64_t num_heads, num_key_value_heads, head_size;
};
const std::vector<Shape> kShapes = {{4, 4, 64}, {8, 2, 64}, {4, 1, 128},
                                    {2, 2, 8},  {3, 1, 20}, {1, 1, 300}};
// One token, a block less one, a block, a block and one; several blocks of queries and of keys.
const std::vector<int64_t> kLengths = {1, 31, 32, 33, 5, 128, 129, 300};

struct Inputs {
  at::Tensor q, k, v;

  Inputs(const Shape& shape, int64_t num_queries, int64_t num_keys)
      : q(at::randn({num_queries, shape.num_heads, shape.head_size}) * 2),
        k(at::randn({num_keys, shape.num_key_value_heads, shape.head_size}) * 2),
        v(at::randn({num_keys, shape.num_key_value_heads, shape.head_size})) {}
};

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// The plain form in double.
at::Tensor exact(const Inputs& x, const at::Tensor& cu_q, const at::Tensor& cu_k,
                 const PackedAttentionOptions& options = {}) {
  const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
  return packed_attention_plain(wide(x.q), wide(x.k), wide(x.v), cu_q, cu_k, options);
}

/// Scores reach ±100 here, where an ulp of fp32 is 8e-6: so much may a weight change, relatively.
/// With bf16 products q and k are each rounded by up to 2^-9: scores then move by up to 0.3. Such
/// an error is large but rare, so that the mean is looked at too.
constexpr double kFloat32Tolerance = 2e-5;
constexpr double kBfloat16Tolerance = 0.25, kBfloat16MeanTolerance = 0.01;

class PackedAttentionTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  void SetUp() override { at::manual_seed(7); }
  ForcedIsaLevel level_{GetParam()};
};

TEST_P(PackedAttentionTest, EqualsThePlainFormCausalAndNot) {
  const at::Tensor cu = offsets(kLengths);
  for (const Shape& shape : kShapes) {
    const Inputs x(shape, total(kLengths), total(kLengths));
    for (const bool causal : {true, false}) {
      PackedAttentionOptions options;
      options.causal = causal;
      const at::Tensor expected = exact(x, cu, cu, options);
      EXPECT_LE(largest_difference(packed_attention(x.q, x.k, x.v, cu, cu, options), expected),
                kFloat32Tolerance);
      options.product_dtype = at::kBFloat16;
      const at::Tensor rounded = packed_attention(x.q, x.k, x.v, cu, cu, options);
      EXPECT_LE(largest_difference(rounded, expected), kBfloat16Tolerance);
      EXPECT_LE((rounded - expected).abs().mean().item<double>(), kBfloat16MeanTolerance);
      options.out_dtype = at::kBFloat16;
      EXPECT_TRUE(
          at::equal(packed_attention(x.q, x.k, x.v, cu, cu, options), rounded.to(at::kBFloat16)));
    }
  }
}

// With operands that bf16 holds exactly only the weights are rounded.
TEST_P(PackedAttentionTest, BfloatProductsOfBfloatInputsAreWithinTheirRounding) {
  const at::Tensor cu = offsets(kLengths);
  Inputs x({8, 2, 64}, total(kLengths), total(kLengths));
  PackedAttentionOptions options;
  options.product_dtype = at::kBFloat16;
  const auto half = [](const at::Tensor& t) { return t.to(at::kBFloat16); };
  const auto full = [](const at::Tensor& t) { return t.to(at::kBFloat16).to(at::kFloat); };
  const at::Tensor expected = packed_attention_plain(full(x.q), full(x.k), full(x.v), cu, cu);
  const at::Tensor got = packed_attention(half(x.q), half(x.k), half(x.v), cu, cu, options);
  EXPECT_LE(largest_difference(got, expected), 4.0 / 256);
  EXPECT_TRUE(at::equal(packed_attention(full(x.q), full(x.k), full(x.v), cu, cu, options), got));
}

TEST_P(PackedAttentionTest, QueriesAreTheLastTokensOfTheirSequences) {
  const std::vector<int64_t> one_each(kLengths.size(), 1), up_to_three = {1, 3, 3, 3, 3, 3, 3, 3};
  for (const at::ScalarType product_dtype : {at::kFloat, at::kBFloat16}) {
    const Inputs x({8, 2, 64}, total(kLengths), total(kLengths));
    PackedAttentionOptions options;
    options.product_dtype = product_dtype;
    const at::Tensor cu = offsets(kLengths);
    const at::Tensor all = packed_attention(x.q, x.k, x.v, cu, cu, options);
    for (const auto& lengths : {one_each, up_to_three}) {
      std::vector<at::Tensor> last_q, last_out;
      for (size_t s = 0; s < kLengths.size(); ++s) {
        const int64_t end = cu[s + 1].item<int64_t>();
        last_q.push_back(x.q.narrow(0, end - lengths[s], lengths[s]));
        last_out.push_back(all.narrow(0, end - lengths[s], lengths[s]));
      }
      const at::Tensor got =
          packed_attention(at::cat(last_q), x.k, x.v, offsets(lengths, at::kInt), cu, options);
      EXPECT_TRUE(at::equal(got, at::cat(last_out)));
    }
  }
}

TEST_P(PackedAttentionTest, ASequencesBitsDoNotDependOnTheOthers) {
  for (const at::ScalarType product_dtype : {at::kFloat, at::kBFloat16}) {
    for (const bool causal : {true, false}) {
      const Inputs x({4, 2, 64}, total(kLengths), total(kLengths));
      PackedAttentionOptions options;
      options.causal = causal;
      options.product_dtype = product_dtype;
      const at::Tensor cu = offsets(kLengths);
      const at::Tensor all = packed_attention(x.q, x.k, x.v, cu, cu, options);
      for (size_t s = 0; s < kLengths.size(); ++s) {
        const int64_t begin = cu[s].item<int64_t>();
        const auto own = [&](const at::Tensor& t) { return t.narrow(0, begin, kLengths[s]); };
        const at::Tensor cu_own = offsets({kLengths[s]});
        EXPECT_TRUE(at::equal(
            packed_attention(own(x.q), own(x.k), own(x.v), cu_own, cu_own, options), own(all)));
      }
    }
  }
}

TEST_P(PackedAttentionTest, ReadsHeadsInsideAFusedProjection) {
  const at::Tensor cu = offsets({40, 7});
  const at::Tensor qkv = at::randn({47, (4 + 2 + 2) * 16});
  const at::Tensor q = qkv.narrow(1, 0, 64).view({47, 4, 16});
  const at::Tensor k = qkv.narrow(1, 64, 32).view({47, 2, 16});
  const at::Tensor v = qkv.narrow(1, 96, 32).view({47, 2, 16});
  EXPECT_TRUE(at::equal(packed_attention(q, k, v, cu, cu),
                        packed_attention(q.contiguous(), k.contiguous(), v.contiguous(), cu, cu)));
}

TEST_P(PackedAttentionTest, SurvivesScoresOfAnySize) {
  const at::Tensor cu = offsets({200});
  Inputs x({2, 2, 64}, 200, 200);
  const at::Tensor q = x.q * 50;  // scores of thousands: one key takes all
  EXPECT_LE(largest_difference(packed_attention(q, x.k, x.v, cu, cu),
                               packed_attention_plain(q, x.k, x.v, cu, cu)),
            1e-3);
  PackedAttentionOptions options;
  options.scale = 1e-6;
  EXPECT_LE(largest_difference(packed_attention(x.q, x.k, x.v, cu, cu, options),
                               packed_attention_plain(x.q, x.k, x.v, cu, cu, options)),
            kFloat32Tolerance);
}

TEST_P(PackedAttentionTest, ShowsANumberThatIsNone) {
  const at::Tensor cu = offsets({40});
  Inputs x({2, 2, 64}, 40, 40);
  x.q[3][0][5] = NAN;
  for (const at::ScalarType product_dtype : {at::kFloat, at::kBFloat16}) {
    PackedAttentionOptions options;
    options.product_dtype = product_dtype;
    const at::Tensor out = packed_attention(x.q, x.k, x.v, cu, cu, options).view({40, 2, 64});
    EXPECT_TRUE(out[3][0].isnan().all().item<bool>());
    EXPECT_FALSE(out[2].isnan().any().item<bool>());
    EXPECT_FALSE(out[3][1].isnan().any().item<bool>());
  }
}

TEST_P(PackedAttentionTest, AllowsEmptySequencesAndGivesZerosWithoutKeys) {
  PackedAttentionOptions options;
  options.causal = false;
  const Inputs x({2, 1, 16}, 5, 4);
  const at::Tensor out =
      packed_attention(x.q, x.k, x.v, offsets({0, 2, 3, 0}), offsets({0, 0, 4, 0}), options);
  EXPECT_EQ(out.narrow(0, 0, 2).abs().max().item<double>(), 0);
  EXPECT_LE(largest_difference(out, packed_attention_plain(x.q, x.k, x.v, offsets({0, 2, 3, 0}),
                                                           offsets({0, 0, 4, 0}), options)),
            kFloat32Tolerance);
  const Inputs none({2, 1, 16}, 0, 0);
  EXPECT_EQ(packed_attention(none.q, none.k, none.v, offsets({}), offsets({})).size(0), 0);
}

INSTANTIATE_TEST_SUITE_P(Levels, PackedAttentionTest, ::testing::ValuesIn(available_isa_levels()),
                         [](const auto& info) { return to_string(info.param); });

TEST(PackedAttentionGradientTest, EqualsThatOfThePlainFormInDouble) {
  at::manual_seed(9);
  struct Case {
    std::vector<int64_t> queries, keys;
    bool causal;
  };
  const std::vector<Case> cases = {
      {{5, 5, 5, 1, 33, 33, 7}, {5, 5, 5, 1, 33, 33, 7}, true},  // runs of equal lengths
      {{9, 9, 2}, {9, 9, 2}, false},
      {{1, 1, 1, 1}, {4, 4, 17, 1}, true},  // last tokens only
      {{3, 0, 2}, {3, 0, 4}, true},
  };
  for (const Shape& shape : kShapes) {
    for (const Case& one : cases) {
      const Inputs x(shape, total(one.queries), total(one.keys));
      const at::Tensor cu_q = offsets(one.queries), cu_k = offsets(one.keys);
      const at::Tensor dy = at::randn({x.q.size(0), x.q.size(1) * x.q.size(2)});
      const auto gradients = [&](const auto& attention, at::ScalarType dtype) {
        std::vector<at::Tensor> leaves;
        for (const at::Tensor& tensor : {x.q, x.k, x.v}) {
          leaves.push_back(tensor.detach().to(dtype, false, /*copy=*/true).requires_grad_());
        }
        PackedAttentionOptions options;
        options.causal = one.causal;
        attention(leaves[0], leaves[1], leaves[2], cu_q, cu_k, options)
            .to(dtype)
            .backward(dy.to(dtype));
        return std::vector<at::Tensor>{leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
      };
      const auto own = gradients(packed_attention, at::kFloat);
      const auto exact = gradients(packed_attention_plain, at::kDouble);
      for (size_t i = 0; i < own.size(); ++i) {
        EXPECT_LE(largest_difference(own[i], exact[i]),
                  kFloat32Tolerance * (1 + exact[i].abs().max().item<double>()))
            << "qkv"[i];
      }
    }
  }
}

// The plain form against the definition, written out.
TEST(PackedAttentionPlainTest, IsTheDefinition) {
  at::manual_seed(7);
  const Inputs x({4, 2, 8}, 5, 7);
  const at::Tensor out =
      packed_attention_plain(x.q, x.k, x.v, offsets({2, 3}), offsets({4, 3})).view({5, 4, 8});
  const int64_t first_query[] = {0, 2}, first_key[] = {0, 4}, hidden_at_start[] = {2, 0};
  for (int s = 0; s < 2; ++s) {
    for (int64_t i = 0; i < (s == 0 ? 2 : 3); ++i) {
      for (int64_t h = 0; h < 4; ++h) {
        const int64_t num_visible = hidden_at_start[s] + i + 1;
        const at::Tensor q = x.q[first_query[s] + i][h];
        const at::Tensor k = x.k.narrow(0, first_key[s], num_visible).select(1, h / 2);
        const at::Tensor v = x.v.narrow(0, first_key[s], num_visible).select(1, h / 2);
        const at::Tensor weights = at::softmax(at::mv(k, q) / std::sqrt(8.0), 0);
        EXPECT_LE(largest_difference(out[first_query[s] + i][h], at::mv(v.t(), weights)), 1e-6);
      }
    }
  }
}

TEST(PackedAttentionPlainTest, IsDifferentiable) {
  at::manual_seed(7);
  Inputs x({4, 2, 8}, 6, 6);
  x.q.requires_grad_();
  x.k.requires_grad_();
  x.v.requires_grad_();
  packed_attention_plain(x.q, x.k, x.v, offsets({4, 2}), offsets({4, 2})).square().sum().backward();
  // Token 3 is the last of its sequence: its own query is the only one that sees its key.
  EXPECT_GT(x.v.grad()[3].abs().max().item<double>(), 0);
  EXPECT_GT(x.k.grad()[3].abs().max().item<double>(), 0);
  EXPECT_EQ(x.q.grad()[4].abs().max().item<double>() < 1e-6, true);  // sees one key: weight 1
}

TEST(PackedAttentionPlainTest, SequencesOfOneLengthTogetherAreAsEachByItself) {
  at::manual_seed(8);
  for (const bool causal : {false, true}) {
    const std::vector<int64_t> equal = {7, 7, 7}, mixed = {7, 7, 7, 2};
    Inputs x({4, 2, 8}, total(mixed), total(mixed));
    const at::Tensor weight = at::randn({total(equal), 32});
    const auto gradients_of = [&](const std::vector<int64_t>& lengths) {
      std::vector<at::Tensor> leaves;
      for (const at::Tensor& one : {x.q, x.k, x.v}) {
        leaves.push_back(one.slice(0, 0, total(lengths)).clone().requires_grad_());
      }
      const at::Tensor y = packed_attention_plain(leaves[0], leaves[1], leaves[2], offsets(lengths),
                                                  offsets(lengths), {.causal = causal});
      (y.slice(0, 0, total(equal)) * weight).sum().backward();
      std::vector<at::Tensor> found = {y.detach().slice(0, 0, total(equal))};
      for (const at::Tensor& leaf : leaves) found.push_back(leaf.grad().slice(0, 0, total(equal)));
      return found;
    };
    const auto together = gradients_of(equal), apart = gradients_of(mixed);
    for (size_t i = 0; i < together.size(); ++i) {
      EXPECT_LT(largest_difference(together[i], apart[i]), 1e-5) << i;
    }
  }
}

TEST(PackedAttentionCheckTest, RefusesWhatDoesNotFit) {
  const Inputs x({4, 2, 8}, 6, 6);
  const at::Tensor cu = offsets({4, 2});
  for (const auto& attention : {packed_attention, packed_attention_plain}) {
    const auto call = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const at::Tensor& cu_q, const at::Tensor& cu_k, double scale = 0) {
      PackedAttentionOptions options;
      options.scale = scale;
      return attention(q, k, v, cu_q, cu_k, options);
    };
    EXPECT_NO_THROW(call(x.q, x.k, x.v, cu, cu));
    EXPECT_THROW(call(x.q.narrow(1, 0, 3), x.k, x.v, cu, cu), InputError);
    EXPECT_THROW(call(x.q, x.k.narrow(2, 0, 4), x.v, cu, cu), InputError);
    EXPECT_THROW(call(x.q, x.k, at::Tensor(), cu, cu), InputError);
    EXPECT_THROW(call(x.q.to(at::kBFloat16), x.k, x.v, cu, cu), InputError);
    EXPECT_THROW(call(x.q, x.k, x.v, offsets({4, 3}), cu), InputError);
    EXPECT_THROW(call(x.q, x.k, x.v, at::tensor({0, 7, 6}, at::kLong), cu), InputError);
    EXPECT_THROW(call(x.q, x.k, x.v, offsets({4, 2}).to(at::kFloat), cu), InputError);
    EXPECT_THROW(call(x.q, x.k, x.v, offsets({6}), cu), InputError);
    EXPECT_THROW(call(x.q, x.k, x.v, offsets({3, 3}), cu), InputError);  // 3 queries, 2 keys
    EXPECT_THROW(call(x.q, x.k, x.v, cu, cu, -1), InputError);
    EXPECT_THROW(call(x.q, x.k, x.v, cu, cu, NAN), InputError);
  }
}

}  // namespace
}  // namespace e5v::detail
