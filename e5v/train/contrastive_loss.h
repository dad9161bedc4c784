#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/nn/tensor_fwd.h"

namespace e5v::detail {

/// The InfoNCE loss of SimCSE and E5-V. The defaults are the published code's.
struct ContrastiveOptions {
  /// Softmax temperature: cosines are divided by it; smaller is sharper.
  double temperature = 0.05;
  /// Also ask of each positive which anchor it belongs to; the mean of both directions.
  bool symmetric = false;
  /// Added to the logit of a row's own hard negatives; above 0 they count more.
  double hard_negative_weight = 0;
  /// Lengths to which embeddings are cut as well; the loss is the mean over all lengths
  /// (Kusupati et al. 2022). Empty: the whole length only.
  std::vector<std::string> matryoshka_dimensions;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError.
  void validate() const;
  /// matryoshka_dimensions as numbers. Throws ConfigError.
  std::vector<int64_t> dimensions() const;
};

/// Rows [N, D] at length 1, in float32 and differentiable; as torch's CosineSimilarity has it, tiny
/// rows are divided by 1e-8.
at::Tensor normalized(const at::Tensor& x);

/// Mean over the rows of the cross entropy of "which column belongs to this anchor", over all
/// positives and all hard negatives of the batch. In float32.
///   anchors, positives  [B, D], any length; row i of one belongs to row i of the other
///   negatives           [M, D], M = 0 is allowed
///   negative_rows       [M] int64: the row that a hard negative was given for
///   returns             a scalar, differentiable in all three
/// Throws ConfigError if an option asks for more dimensions than D.
at::Tensor contrastive_loss(const at::Tensor& anchors, const at::Tensor& positives,
                            const at::Tensor& negatives, const at::Tensor& negative_rows,
                            const ContrastiveOptions& options);

/// CLIP's loss (Radford et al. 2021): the mean, over rows and both directions, of the cross entropy
/// of "which text belongs to this picture" and "which picture belongs to this text".
///   images, texts  [B, P], of any length; row i of one belongs to row i of the other
///   logit_scale    logarithm of what cosines are multiplied by, a scalar
///   returns        a scalar, differentiable in all three
at::Tensor clip_loss(const at::Tensor& images, const at::Tensor& texts,
                     const at::Tensor& logit_scale);

}  // namespace e5v::detail
