#include "e5v/eval/gap.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

at::Tensor as_tensor(const Vectors& vectors) {
  return at::from_blob(const_cast<float*>(vectors.values.data()),
                       {vectors.size(), vectors.dimensions}, at::kFloat)
      .to(at::kDouble);
}

/// Sum of exp(−2 ‖x − y‖²) over ordered pairs of different rows, and their number.
struct PairSum {
  double sum = 0;
  double count = 0;
};

PairSum gaussian_pairs(const at::Tensor& x) {
  constexpr int64_t kRows = 512;
  PairSum result;
  const at::Tensor squares = x.square().sum(1);
  for (int64_t begin = 0; begin < x.size(0); begin += kRows) {
    const int64_t rows = std::min(kRows, x.size(0) - begin);
    const at::Tensor block = x.narrow(0, begin, rows);
    at::Tensor distances = squares.narrow(0, begin, rows).unsqueeze(1) + squares -
                           2 * at::matmul(block, x.t());  // [rows, N]
    const at::Tensor kernel = distances.clamp_min_(0).mul_(-2).exp_();
    for (int64_t i = 0; i < rows; ++i) kernel[i][begin + i].zero_();
    result.sum += kernel.sum().item<double>();
  }
  const auto n = static_cast<double>(x.size(0));
  result.count = n * (n - 1);
  return result;
}

double uniformity_of(const at::Tensor& x) {
  const PairSum pairs = gaussian_pairs(x);
  return pairs.count > 0 ? std::log(pairs.sum / pairs.count) : 0;
}

/// How many of `images` and `texts` the plane halfway between the means of the known ones puts on
/// the right side.
double num_separated(const at::Tensor& known_images, const at::Tensor& known_texts,
                     const at::Tensor& images, const at::Tensor& texts) {
  const at::Tensor image_mean = known_images.mean(0), text_mean = known_texts.mean(0);
  const at::Tensor direction = image_mean - text_mean;
  const double middle = (image_mean + text_mean).div(2).dot(direction).item<double>();
  return (at::mv(images, direction) > middle).sum().item<double>() +
         (at::mv(texts, direction) < middle).sum().item<double>();
}

}  // namespace

ModalityGap modality_gap(const Vectors& image_vectors, const Vectors& text_vectors) {
  if (image_vectors.size() != text_vectors.size() || image_vectors.size() == 0 ||
      image_vectors.dimensions != text_vectors.dimensions) {
    throw InputError(fmt::format(
        "the modality gap is of pairs: got {} images of {} dimensions and {} texts of {}",
        image_vectors.size(), image_vectors.dimensions, text_vectors.size(),
        text_vectors.dimensions));
  }
  const at::NoGradGuard no_grad;
  const at::Tensor images = as_tensor(image_vectors), texts = as_tensor(text_vectors);  // [N, D]
  const int64_t N = images.size(0), half = N / 2;
  ModalityGap gap;
  gap.centroid_distance = (images.mean(0) - texts.mean(0)).norm().item<double>();
  if (half > 0) {
    const auto first = [&](const at::Tensor& x) { return x.narrow(0, 0, half); };
    const auto second = [&](const at::Tensor& x) { return x.narrow(0, half, N - half); };
    const double separated =
        num_separated(first(images), first(texts), second(images), second(texts)) +
        num_separated(second(images), second(texts), first(images), first(texts));
    gap.linear_separability = separated / static_cast<double>(2 * N);
  }
  gap.alignment = (images - texts).square().sum(1).mean().item<double>();
  gap.image_uniformity = uniformity_of(images);
  gap.text_uniformity = uniformity_of(texts);
  gap.uniformity = uniformity_of(at::cat({images, texts}));
  return gap;
}

PcaProjection pca_projection(const Vectors& image_vectors, const Vectors& text_vectors) {
  const at::NoGradGuard no_grad;
  const at::Tensor all = at::cat({as_tensor(image_vectors), as_tensor(text_vectors)});
  const at::Tensor centred = all - all.mean(0);  // [2N, D]
  // Power iterations find two components without an eigensolver over D x D.
  at::Tensor basis = at::zeros({centred.size(1), 2}, at::kDouble);
  for (int64_t c = 0; c < 2; ++c) {
    for (int64_t d = 0; d < basis.size(0); ++d)
      basis[d][c] = std::cos(static_cast<double>(d * (c + 1)));
  }
  const auto orthonormal = [](at::Tensor b) {
    at::Tensor first = b.select(1, 0), second = b.select(1, 1);
    first = first / first.norm().clamp_min(1e-300);
    second = second - first * first.dot(second);
    second = second / second.norm().clamp_min(1e-300);
    return at::stack({first, second}, 1);
  };
  basis = orthonormal(basis);
  for (int iteration = 0; iteration < 200; ++iteration) {
    basis = orthonormal(at::matmul(centred.t(), at::matmul(centred, basis)));
  }
  for (int64_t c = 0; c < 2; ++c) {
    at::Tensor component = basis.select(1, c);
    const int64_t largest = component.abs().argmax().item<int64_t>();
    if (component[largest].item<double>() < 0) component.neg_();
  }
  const at::Tensor plane = at::matmul(centred, basis).contiguous();  // [2N, 2]
  PcaProjection plot;
  const double total = centred.square().sum().item<double>();
  for (int c = 0; c < 2; ++c) {
    plot.explained[c] = total > 0 ? plane.select(1, c).square().sum().item<double>() / total : 0;
  }
  const double* point = plane.data_ptr<double>();
  for (int64_t i = 0; i < plane.size(0); ++i, point += 2) {
    (i < image_vectors.size() ? plot.images : plot.texts).push_back({point[0], point[1]});
  }
  return plot;
}

}  // namespace e5v::detail
