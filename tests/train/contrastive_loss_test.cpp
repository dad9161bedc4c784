#include "e5v/train/contrastive_loss.h"

#include <gmock/gmock.h>

#include <cmath>

#include "e5v/base/error.h"
#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

struct Batch {
  at::Tensor anchors, positives, negatives, negative_rows;
};

/// B rows, the first `M` of which have a hard negative.
Batch random_batch(int64_t B, int64_t M, int64_t D = 6) {
  at::manual_seed(1);
  return {at::randn({B, D}), at::randn({B, D}), at::randn({M, D}), at::arange(M, at::kLong)};
}

double loss_of(const Batch& batch, const ContrastiveOptions& options = {}) {
  return contrastive_loss(batch.anchors, batch.positives, batch.negatives, batch.negative_rows,
                          options)
      .item<double>();
}

TEST(ContrastiveLossTest, EqualsTheFormulaWrittenOut) {
  const Batch batch = random_batch(3, 2);
  const auto cosine = [](const at::Tensor& a, const at::Tensor& b) {
    return (a.dot(b) / (a.norm() * b.norm())).item<double>();
  };
  double expected = 0;
  for (int64_t i = 0; i < 3; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < 3; ++j) {
      sum += std::exp(cosine(batch.anchors[i], batch.positives[j]) / 0.05);
    }
    for (int64_t j = 0; j < 2; ++j) {
      // Row 1's own negative counts more.
      const double weight = i == j ? 0.7 : 0;
      sum += std::exp(cosine(batch.anchors[i], batch.negatives[j]) / 0.05 + weight);
    }
    expected -= (cosine(batch.anchors[i], batch.positives[i]) / 0.05 - std::log(sum)) / 3;
  }
  ContrastiveOptions options;
  options.hard_negative_weight = 0.7;
  EXPECT_NEAR(loss_of(batch, options), expected, 1e-4);
  EXPECT_GT(std::abs(loss_of(batch) - expected), 1e-3);
}

TEST(ContrastiveLossTest, DoesNotDependOnTheOrderOfRowsOrTheLengthOfVectors) {
  const Batch batch = random_batch(4, 4);
  const at::Tensor order = at::tensor({2, 0, 3, 1}, at::kLong);
  const Batch other{batch.anchors.index_select(0, order) * 3,
                    batch.positives.index_select(0, order),
                    batch.negatives.index_select(0, order) * 0.1, batch.negative_rows};
  EXPECT_NEAR(loss_of(batch), loss_of(other), 1e-5);
}

TEST(ContrastiveLossTest, TheSymmetricFormIsTheMeanOfBothDirections) {
  const Batch batch = random_batch(4, 0);
  const Batch swapped{batch.positives, batch.anchors, batch.negatives, batch.negative_rows};
  ContrastiveOptions options;
  options.symmetric = true;
  EXPECT_NEAR(loss_of(batch, options), (loss_of(batch) + loss_of(swapped)) / 2, 1e-5);
}

TEST(ContrastiveLossTest, MatryoshkaTermsAreLossesOfCutVectors) {
  const Batch batch = random_batch(4, 1);
  const auto cut = [](const at::Tensor& x) { return x.slice(1, 0, 2); };
  const Batch shorter{cut(batch.anchors), cut(batch.positives), cut(batch.negatives),
                      batch.negative_rows};
  ContrastiveOptions options;
  options.matryoshka_dimensions = {"2"};
  EXPECT_NEAR(loss_of(batch, options), (loss_of(batch) + loss_of(shorter)) / 2, 1e-5);
  options.matryoshka_dimensions = {"6"};
  EXPECT_THROW(loss_of(batch, options), ConfigError);
  options.matryoshka_dimensions = {"2x"};
  EXPECT_THROW(options.validate(), ConfigError);
}

TEST(ContrastiveLossTest, GradientAgreesWithFiniteDifferences) {
  Batch batch = random_batch(3, 2);
  ContrastiveOptions options;
  options.temperature = 0.5;  // a gentle slope, for the differences' sake
  options.symmetric = true;
  for (at::Tensor* tensor : {&batch.anchors, &batch.positives, &batch.negatives}) {
    tensor->requires_grad_();
    contrastive_loss(batch.anchors, batch.positives, batch.negatives, batch.negative_rows, options)
        .backward();
    const at::Tensor gradient = tensor->grad().clone();
    const at::NoGradGuard no_grad;
    at::Tensor differences = at::zeros_like(*tensor);
    for (int64_t i = 0; i < tensor->numel(); ++i) {
      at::Tensor value = tensor->view(-1)[i];
      const float before = value.item<float>(), h = 1e-2f;
      value.fill_(before + h);
      const double above = loss_of(batch, options);
      value.fill_(before - h);
      const double below = loss_of(batch, options);
      value.fill_(before);
      differences.view(-1)[i] = (above - below) / (2 * h);
    }
    EXPECT_THAT(gradient, AllClose(differences, 1e-3));
  }
}

TEST(ClipLossTest, EqualsItsDefinition) {
  at::manual_seed(3);
  constexpr int64_t B = 5, P = 7;
  const at::Tensor images = at::randn({B, P}), texts = 3 * at::randn({B, P});
  const double scale = 9.5;
  const auto cosine = [&](int64_t i, int64_t t) {
    double dot = 0, image_square = 0, text_square = 0;
    for (int64_t k = 0; k < P; ++k) {
      const auto x = images[i][k].item<double>(), y = texts[t][k].item<double>();
      dot += x * y;
      image_square += x * x;
      text_square += y * y;
    }
    return dot / std::sqrt(image_square * text_square);
  };
  double expected = 0;
  for (int64_t i = 0; i < B; ++i) {
    double texts_sum = 0, images_sum = 0;
    for (int64_t j = 0; j < B; ++j) {
      texts_sum += std::exp(scale * cosine(i, j));
      images_sum += std::exp(scale * cosine(j, i));
    }
    expected += (std::log(texts_sum) + std::log(images_sum) - 2 * scale * cosine(i, i)) / (2 * B);
  }
  const at::Tensor loss = clip_loss(images, texts, at::scalar_tensor(std::log(scale)));
  EXPECT_NEAR(loss.item<double>(), expected, 1e-5);
}

}  // namespace
}  // namespace e5v::detail
