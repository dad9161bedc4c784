#include "e5v/train/evaluation.h"

namespace e5v::detail {

double recall_at_1(const at::Tensor& scores) {
  const at::Tensor own = at::arange(scores.size(0), at::kLong);
  return (scores.argmax(1) == own).to(at::kDouble).mean().item<double>();
}

EmbeddingMetrics evaluate_embeddings(const at::Tensor& anchors, const at::Tensor& positives,
                                     const at::Tensor& negatives, const at::Tensor& negative_rows,
                                     const ContrastiveOptions& options) {
  const at::NoGradGuard no_grad;
  const auto unit = [](const at::Tensor& x) {
    return x / at::clamp_min(x.norm(2, {1}, /*keepdim=*/true), 1e-8);
  };
  const at::Tensor a = unit(anchors), p = unit(positives);
  const int64_t B = a.size(0);
  EmbeddingMetrics result;
  result.loss =
      contrastive_loss(anchors, positives, negatives, negative_rows, options).item<double>();
  result.alignment = (a - p).square().sum(1).mean().item<double>();
  const at::Tensor all = at::cat({a, p});
  const at::Tensor squared_distances = 2 - 2 * at::mm(all, all.t());
  const at::Tensor kernel = at::exp(-2 * squared_distances);
  const auto pairs = static_cast<double>(4 * B * B - 2 * B);  // without each with itself
  result.uniformity = ((kernel.sum() - kernel.diagonal().sum()) / pairs).log().item<double>();
  result.recall_at_1 = recall_at_1(at::mm(a, p.t()));
  return result;
}

}  // namespace e5v::detail
