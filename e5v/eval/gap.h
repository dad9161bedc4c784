#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "e5v/eval/vectors.h"

namespace e5v::detail {

/// How far two modalities' vectors lie apart, and how well pairs lie together. All vectors are of
/// length 1; image i and text i belong together.
struct ModalityGap {
  /// ‖mean of the images − mean of the texts‖ (Liang et al. 2022).
  double centroid_distance = 0;
  /// Accuracy of a linear classifier of the modality on held-out vectors: the plane halfway between
  /// the two means of one half of the pairs, tried on the other half, and the other way round.
  /// 1 = separable, 0.5 = one cloud.
  double linear_separability = 0;
  /// Mean of ‖image − text‖² over the pairs (Wang & Isola 2020, α = 2); less is better.
  double alignment = 0;
  /// log of the mean of exp(−2 ‖x − y‖²) over pairs of different images, of different texts, and of
  /// both together (t = 2); less is better.
  double image_uniformity = 0;
  double text_uniformity = 0;
  double uniformity = 0;
};

/// `images` and `texts` of equal, positive number and dimensions. O(N² D) time in blocks.
ModalityGap modality_gap(const Vectors& images, const Vectors& texts);

/// All vectors along the first two principal components of both sets together. The sign of each
/// component is such that its largest weight is positive.
struct PcaProjection {
  std::vector<std::array<double, 2>> images, texts;
  /// Share of the variance that each of the components holds.
  std::array<double, 2> explained{};
};

PcaProjection pca_projection(const Vectors& images, const Vectors& texts);

}  // namespace e5v::detail
