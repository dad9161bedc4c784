#include "e5v/eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "e5v/base/error.h"
#include "e5v/base/random.h"

namespace e5v::detail {
namespace {

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The value below which a share `q` of the sorted `values` lies, between two of them linearly.
double quantile(const std::vector<double>& values, double q) {
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace

double recall_at_k(std::span<const int64_t> ranks, int64_t k) {
  if (ranks.empty()) return 0;
  const auto hits = std::count_if(ranks.begin(), ranks.end(),
                                  [k](int64_t rank) { return rank >= 0 && rank < k; });
  return static_cast<double>(hits) / static_cast<double>(ranks.size());
}

double average_precision_at_k(std::span<const bool> relevant, int64_t num_relevant, int64_t k) {
  E5V_ASSERT(num_relevant > 0 && k > 0);
  double sum = 0, found = 0;
  const size_t count = std::min(relevant.size(), static_cast<size_t>(k));
  for (size_t i = 0; i < count; ++i) {
    if (!relevant[i]) continue;
    ++found;
    sum += found / static_cast<double>(i + 1);
  }
  return sum / static_cast<double>(std::min(num_relevant, k));
}

std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

double pearson(std::span<const double> x, std::span<const double> y) {
  E5V_ASSERT(x.size() == y.size());
  const double mean_x = mean(x), mean_y = mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mean_x, dy = y[i] - mean_y;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  if (x.size() < 2 || xx == 0 || yy == 0) return std::numeric_limits<double>::quiet_NaN();
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

double spearman(std::span<const double> x, std::span<const double> y) {
  return pearson(average_ranks(x), average_ranks(y));
}

StsCorrelations correlate_parts(std::span<const StsPart> parts, const Correlation& correlation) {
  StsCorrelations result;
  std::vector<double> cosines, scores;
  for (const StsPart& part : parts) {
    const double value = correlation(part.cosines, part.scores);
    result.mean += value / static_cast<double>(parts.size());
    result.weighted_mean += value * static_cast<double>(part.scores.size());
    cosines.insert(cosines.end(), part.cosines.begin(), part.cosines.end());
    scores.insert(scores.end(), part.scores.begin(), part.scores.end());
  }
  result.weighted_mean /= static_cast<double>(std::max<size_t>(1, scores.size()));
  result.all = correlation(cosines, scores);
  return result;
}

Interval bootstrap_mean(std::span<const double> values, uint64_t seed, int64_t num_resamples) {
  if (values.empty()) return {};
  SplitMix64 random(mix64(seed));
  std::vector<double> means;
  means.reserve(static_cast<size_t>(num_resamples));
  for (int64_t resample = 0; resample < num_resamples; ++resample) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
    means.push_back(sum / static_cast<double>(values.size()));
  }
  std::sort(means.begin(), means.end());
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

Interval bootstrap_difference(std::span<const double> a, std::span<const double> b, uint64_t seed,
                              int64_t num_resamples) {
  E5V_ASSERT(a.size() == b.size());
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = b[i] - a[i];
  return bootstrap_mean(differences, seed, num_resamples);
}

}  // namespace e5v::detail
