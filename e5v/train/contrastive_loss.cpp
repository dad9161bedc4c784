#include "e5v/train/contrastive_loss.h"

#include <charconv>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

at::Tensor loss_of_length(const at::Tensor& anchors, const at::Tensor& positives,
                          const at::Tensor& negatives, const at::Tensor& negative_rows,
                          const ContrastiveOptions& options) {
  const int64_t B = anchors.size(0), M = negatives.size(0);
  const at::Tensor a = normalized(anchors), p = normalized(positives);
  const at::Tensor labels = at::arange(B, at::kLong);
  const at::Tensor similarities = at::mm(a, p.t()) / options.temperature;  // [B, B]
  at::Tensor logits = similarities;
  if (M > 0) {
    at::Tensor columns = at::mm(a, normalized(negatives).t()) / options.temperature;  // [B, M]
    if (options.hard_negative_weight != 0) {
      const at::Tensor own = labels.unsqueeze(1) == negative_rows.unsqueeze(0);
      columns = columns + own.to(at::kFloat) * options.hard_negative_weight;
    }
    logits = at::cat({similarities, columns}, 1);  // [B, B + M]
  }
  const at::Tensor loss = at::cross_entropy_loss(logits, labels);
  if (!options.symmetric) return loss;
  return (loss + at::cross_entropy_loss(similarities.t(), labels)) / 2;
}

}  // namespace

at::Tensor normalized(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kFloat);
  return wide / at::clamp_min(wide.norm(2, {1}, /*keepdim=*/true), 1e-8);
}

void ContrastiveOptions::register_options(OptionRegistry& registry) {
  registry.add("temperature", temperature, "Softmax temperature of the loss; smaller is sharper");
  registry.add("symmetric", symmetric, "Also ask of each positive which anchor it belongs to");
  registry.add("hard-negative-weight", hard_negative_weight,
               "Added to the logit of a row's own hard negatives");
  registry.add("matryoshka-dimensions", matryoshka_dimensions,
               "Lengths to which embeddings are cut for further terms of the loss");
}

void ContrastiveOptions::validate() const {
  if (!(temperature > 0)) {
    throw ConfigError(fmt::format("'temperature' is {}, expected more than 0", temperature));
  }
  dimensions();
}

std::vector<int64_t> ContrastiveOptions::dimensions() const {
  std::vector<int64_t> lengths;
  for (const std::string& text : matryoshka_dimensions) {
    int64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error != std::errc() || end != text.data() + text.size() || length < 1) {
      throw ConfigError(fmt::format("'matryoshka_dimensions' has '{}', expected a whole number",
                                    printable(text, 40)));
    }
    lengths.push_back(length);
  }
  return lengths;
}

at::Tensor contrastive_loss(const at::Tensor& anchors, const at::Tensor& positives,
                            const at::Tensor& negatives, const at::Tensor& negative_rows,
                            const ContrastiveOptions& options) {
  const int64_t D = anchors.size(1);
  at::Tensor sum = loss_of_length(anchors, positives, negatives, negative_rows, options);
  const std::vector<int64_t> lengths = options.dimensions();
  for (const int64_t length : lengths) {
    if (length >= D) {
      throw ConfigError(fmt::format(
          "'matryoshka_dimensions' has {}, expected less than the model's {}", length, D));
    }
    const auto cut = [&](const at::Tensor& x) { return x.slice(1, 0, length); };
    sum =
        sum + loss_of_length(cut(anchors), cut(positives), cut(negatives), negative_rows, options);
  }
  return sum / static_cast<double>(1 + lengths.size());
}

at::Tensor clip_loss(const at::Tensor& images, const at::Tensor& texts,
                     const at::Tensor& logit_scale) {
  const at::Tensor logits =
      at::matmul(normalized(images), normalized(texts).t()) * logit_scale.exp();  // [B, B]
  const at::Tensor own = at::arange(images.size(0), at::kLong);
  return (at::cross_entropy_loss(logits, own) + at::cross_entropy_loss(logits.t(), own)) / 2;
}

}  // namespace e5v::detail
