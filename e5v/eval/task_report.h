#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/eval/gap.h"
#include "e5v/eval/metrics.h"
#include "e5v/eval/ranking.h"
#include "e5v/eval/system.h"

namespace e5v::detail {

/// One figure. Shares and correlations are times 100, as papers print them.
struct Metric {
  std::string name;  ///< stable, e.g. "image_retrieval_recall@1"
  double value = 0;
  std::optional<Interval> interval;  ///< 95 %, in the same unit
};

/// A query with what was found for it, for people to look at.
struct RetrievalExample {
  struct Found {
    EvalImage image;   ///< empty where a text was found
    std::string text;  ///< or what is written below the picture
    double score = 0;
    bool is_right = false;
  };
  EvalImage image;   ///< the query's picture, if it has one
  std::string text;  ///< the query's text, if it has one
  int64_t rank = 0;  ///< of the best right answer, from 0
  std::vector<Found> found;
  std::vector<Found> expected;  ///< the right answers (or some), where none is among `found`
};

struct ExampleList {
  std::string title;
  std::vector<RetrievalExample> examples;
};

struct NamedPlot {
  std::string title;
  PcaProjection plot;
};

/// How many queries have their best right answer at which place.
struct RankHistogram {
  std::string title;
  std::vector<int64_t> ranks;
};

/// What an evaluation of one task gives.
struct TaskReport {
  std::string task;
  std::vector<Metric> metrics;
  /// Each query's value of a metric, in the metric's unit: what differences between systems are
  /// bootstrapped from.
  std::map<std::string, std::vector<double>> per_query;
  Json data = Json::object();  ///< counts of what was evaluated, and where it is from
  Json system = Json::object();
  /// What was left out, one line each. Not empty = every figure is partial.
  std::vector<std::string> skipped;
  std::vector<ExampleList> examples;
  std::vector<NamedPlot> plots;
  std::vector<RankHistogram> histograms;
  std::map<std::string, std::string> files;  ///< further files of the report, by name

  /// Adds recall at each k of `ranks` as `prefix` + "@k", with its interval.
  void add_recalls(const std::string& prefix, const std::vector<int64_t>& ranks,
                   const std::vector<int64_t>& ks);
  /// Adds the mean of per-query values (already times 100).
  void add_mean(const std::string& name, std::vector<double> values);
  const Metric* find(const std::string& name) const;
};

/// The indices of the `count` best and worst of `ranks`, best and worst first; ties by index.
std::vector<size_t> best_queries(const std::vector<int64_t>& ranks, size_t count);
std::vector<size_t> worst_queries(const std::vector<int64_t>& ranks, size_t count);

}  // namespace e5v::detail
