#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace e5v::detail {

/// Share of queries whose rank (0 = first) is below `k`: CLIP's "any positive in the top k", if a
/// query's rank is that of its best positive. A negative rank is one that no positive reached.
/// 0 queries give 0.
double recall_at_k(std::span<const int64_t> ranks, int64_t k);

/// Average precision of one query at `k`, as CIRCO has it: the sum of the precisions at the places
/// (among the first k) that are relevant, divided by min(num_relevant, k). `relevant[i]` says
/// whether the i-th retrieved one is. num_relevant > 0.
double average_precision_at_k(std::span<const bool> relevant, int64_t num_relevant, int64_t k);

/// Ranks from 1, the average rank where values are equal (SciPy's rankdata).
std::vector<double> average_ranks(std::span<const double> values);

/// Of two lists of equal length; NaN where one of them is constant or shorter than 2.
double pearson(std::span<const double> x, std::span<const double> y);
double spearman(std::span<const double> x, std::span<const double> y);

/// A correlation over the parts of one STS task, aggregated as SentEval does.
struct StsCorrelations {
  double all = 0;            ///< over the parts' pairs taken together
  double mean = 0;           ///< of the parts' values
  double weighted_mean = 0;  ///< of the parts' values, by their numbers of pairs
};

/// One part of an STS task: what the system says and what people say about each pair.
struct StsPart {
  std::vector<double> cosines;
  std::vector<double> scores;
};

using Correlation = std::function<double(std::span<const double>, std::span<const double>)>;
StsCorrelations correlate_parts(std::span<const StsPart> parts, const Correlation& correlation);

/// A confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// 95 % percentile bootstrap interval of the mean of `values` (one for each query), from
/// `num_resamples` resamples with replacement. Equal seeds give equal intervals on every machine.
Interval bootstrap_mean(std::span<const double> values, uint64_t seed = 0,
                        int64_t num_resamples = 1000);

/// The same for the mean of b − a, whose elements belong together: two systems' values for the same
/// queries.
Interval bootstrap_difference(std::span<const double> a, std::span<const double> b,
                              uint64_t seed = 0, int64_t num_resamples = 1000);

}  // namespace e5v::detail
