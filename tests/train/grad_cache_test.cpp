#include "e5v/train/grad_cache.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

/// Embeddings tanh(x W) of rows of x, in micro-batches.
class GradCacheTest : public ::testing::Test {
 protected:
  GradCacheTest() {
    at::manual_seed(2);
    x_ = at::randn({6, 4});
    weight_ = at::randn({4, 3}).requires_grad_();
  }

  /// The gradient of a loss that couples all rows, by micro-batches of `size` rows.
  at::Tensor gradient(int64_t size) {
    weight_.mutable_grad() = at::Tensor();
    num_encoded_ = 0;
    ProcessGroup alone;
    const BatchResult result = accumulate_gradients(
        6 / size,
        [&](int64_t i) {
          ++num_encoded_;
          return at::tanh(at::mm(x_.slice(0, i * size, (i + 1) * size), weight_));
        },
        [](const at::Tensor& all) { return at::mm(all, all.t()).exp().sum().log(); }, alone);
    loss_ = result.loss;
    return weight_.grad().clone();
  }

  at::Tensor x_, weight_;
  int num_encoded_ = 0;
  double loss_ = 0;
};

TEST_F(GradCacheTest, MicroBatchesGiveTheGradientOfTheWholeBatch) {
  const at::Tensor direct = gradient(6);
  const double loss = loss_;
  EXPECT_EQ(num_encoded_, 1);
  EXPECT_THAT(gradient(2), AllClose(direct, 1e-6, 1e-5));
  EXPECT_EQ(num_encoded_, 6);
  EXPECT_THAT(gradient(1), AllClose(direct, 1e-6, 1e-5));
  EXPECT_NEAR(loss_, loss, 1e-6);
}

TEST_F(GradCacheTest, ALossThatIsNotFiniteLeavesNoGradient) {
  ProcessGroup alone;
  const BatchResult result = accumulate_gradients(
      1, [&](int64_t) { return at::mm(x_, weight_); },
      [](const at::Tensor& all) { return all.sum() * std::numeric_limits<double>::quiet_NaN(); },
      alone);
  EXPECT_NE(result.loss, result.loss);
  EXPECT_FALSE(weight_.grad().defined());
}

}  // namespace
}  // namespace e5v::detail
