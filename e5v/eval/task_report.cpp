#include "e5v/eval/task_report.h"

#include <algorithm>
#include <numeric>

namespace e5v::detail {
namespace {

std::vector<size_t> sorted_queries(const std::vector<int64_t>& ranks, size_t count, bool best) {
  std::vector<size_t> order(ranks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return best ? ranks[a] < ranks[b] : ranks[a] > ranks[b];
  });
  order.resize(std::min(count, order.size()));
  return order;
}

}  // namespace

void TaskReport::add_mean(const std::string& name, std::vector<double> values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  const double count = static_cast<double>(std::max<size_t>(1, values.size()));
  metrics.push_back({name, sum / count, bootstrap_mean(values)});
  per_query[name] = std::move(values);
}

void TaskReport::add_recalls(const std::string& prefix, const std::vector<int64_t>& ranks,
                             const std::vector<int64_t>& ks) {
  for (const int64_t k : ks) {
    std::vector<double> hits;
    for (const int64_t rank : ranks) hits.push_back(rank >= 0 && rank < k ? 100 : 0);
    add_mean(fmt::format("{}@{}", prefix, k), std::move(hits));
  }
}

const Metric* TaskReport::find(const std::string& name) const {
  const auto found = std::find_if(metrics.begin(), metrics.end(),
                                  [&](const Metric& metric) { return metric.name == name; });
  return found == metrics.end() ? nullptr : &*found;
}

std::vector<size_t> best_queries(const std::vector<int64_t>& ranks, size_t count) {
  return sorted_queries(ranks, count, true);
}

std::vector<size_t> worst_queries(const std::vector<int64_t>& ranks, size_t count) {
  return sorted_queries(ranks, count, false);
}

}  // namespace e5v::detail
