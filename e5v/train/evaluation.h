#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "e5v/train/contrastive_loss.h"

namespace e5v::detail {

/// Share of the rows of `scores` [B, B] whose highest score is on the diagonal.
double recall_at_1(const at::Tensor& scores);

/// How well pairs that were not trained on lie together.
struct EmbeddingMetrics {
  double loss = 0;
  /// Mean squared distance between an anchor and its positive, of unit vectors (Wang & Isola 2020).
  double alignment = 0;
  /// Log of the mean of exp(-2 d²) over all pairs of anchors and positives; lower is more spread
  /// out.
  double uniformity = 0;
  /// Share of anchors whose nearest positive in the batch is their own.
  double recall_at_1 = 0;
};

/// Of one batch: anchors and positives [B, D], negatives [M, D]. B = 1 gives a recall of 1.
EmbeddingMetrics evaluate_embeddings(const at::Tensor& anchors, const at::Tensor& positives,
                                     const at::Tensor& negatives, const at::Tensor& negative_rows,
                                     const ContrastiveOptions& options);

}  // namespace e5v::detail
