#include "e5v/index/flat_search.h"

#include <algorithm>
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/kernels/dot.h"

namespace e5v::detail {
namespace {

/// Rows whose scores are estimated at a time: the estimates stay in the cache.
constexpr int64_t kBlockRows = 16384;
/// Candidates that are scored exactly at a time.
constexpr size_t kExactRows = 256;
/// Below this many products threads cost more than they save.
constexpr size_t kMinProductsOfThreads = 1 << 16;

float rounded_up(double value) {
  const auto nearest = static_cast<float>(value);
  return nearest >= value ? nearest : std::nextafter(nearest, INFINITY);
}

double norm(std::span<const float> x) { return std::sqrt(exact_dot(x, x)); }

/// An interval that a row's score lies in.
struct Estimate {
  int64_t row = 0;
  double low = 0;
  double high = 0;
};

/// Collects the rows that may be among the best k: those whose `high` is not below the k-th largest
/// `low` so far.
class Candidates {
 public:
  Candidates(int64_t k, double min_score) : k_(static_cast<size_t>(k)), threshold_(min_score) {}

  void add(const Estimate& estimate) {
    if (!(estimate.high >= threshold_)) return;
    estimates_.push_back(estimate);
    lows_.push_back(estimate.low);
    std::push_heap(lows_.begin(), lows_.end(), std::greater<>());
    if (lows_.size() > k_) {
      std::pop_heap(lows_.begin(), lows_.end(), std::greater<>());
      lows_.pop_back();
    }
    if (lows_.size() == k_) threshold_ = std::max(threshold_, lows_.front());
    if (estimates_.size() > 4 * k_ + 4096) prune();
  }

  std::vector<Estimate> finish() {
    prune();
    return std::move(estimates_);
  }

 private:
  void prune() {
    std::erase_if(estimates_, [&](const Estimate& e) { return !(e.high >= threshold_); });
  }

  size_t k_;
  double threshold_;
  std::vector<double> lows_;  // a heap of the k largest, the smallest on top
  std::vector<Estimate> estimates_;
};

}  // namespace

void keep_best(std::vector<ScoredRow>& rows, int64_t k, double min_score) {
  std::erase_if(rows, [&](const ScoredRow& row) { return !(row.score >= min_score); });
  const auto kept = static_cast<int64_t>(std::min<size_t>(rows.size(), static_cast<size_t>(k)));
  std::partial_sort(rows.begin(), rows.begin() + kept, rows.end(), ranks_before);
  rows.resize(static_cast<size_t>(kept));
}

double exact_dot(std::span<const float> a, std::span<const float> b) {
  // Eight sums, so that additions overlap.
  double sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= a.size(); i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += static_cast<double>(a[i + j]) * b[i + j];
  }
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

void QuantizedVectors::append(std::span<const float> rows) {
  const size_t size = static_cast<size_t>(dimensions_);
  for (size_t begin = 0; begin < rows.size(); begin += size) {
    const auto row = rows.subspan(begin, size);
    float largest = 0;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    const float scale = largest / 127;
    double lost = 0, kept = 0;
    for (const float value : row) {
      const auto quantized = static_cast<int8_t>(scale > 0 ? std::lround(value / scale) : 0);
      values_.push_back(quantized);
      const double restored = static_cast<double>(scale) * quantized;
      lost += (value - restored) * (value - restored);
      kept += restored * restored;
    }
    scales_.push_back(scale);
    residuals_.push_back(rounded_up(std::sqrt(lost) * (1 + 1e-9)));
    magnitudes_.push_back(rounded_up(std::sqrt(kept) * (1 + 1e-9)));
  }
}

namespace {

/// Exact scores of the candidates, the most promising first, until no other can be among the best.
std::vector<ScoredRow> best_of(const FlatRows& rows, std::span<const float> query,
                               std::vector<Estimate> candidates, int64_t k, double min_score) {
  std::sort(candidates.begin(), candidates.end(),
            [](const Estimate& a, const Estimate& b) { return a.high > b.high; });
  std::vector<ScoredRow> best;
  for (size_t done = 0; done < candidates.size();) {
    // So far `best` holds fewer than k, or its last is what others have to reach.
    const bool is_full = static_cast<int64_t>(best.size()) == k;
    if (is_full && candidates[done].high < best.back().score) break;
    const size_t count = std::min(kExactRows, candidates.size() - done);
    best.resize(best.size() + count);
    ScoredRow* scored = best.data() + best.size() - count;
#pragma omp parallel for if (count * query.size() > kMinProductsOfThreads)
    for (size_t i = 0; i < count; ++i) {
      const int64_t row = candidates[done + i].row;
      const std::span<const float> values(rows.data + row * rows.dimensions, query.size());
      scored[i] = {row, rows.ids[row], exact_dot(values, query)};
    }
    done += count;
    keep_best(best, k, min_score);
  }
  return best;
}

}  // namespace

std::vector<ScoredRow> flat_search(const FlatRows& rows, std::span<const float> query, int64_t k,
                                   double min_score) {
  E5V_ASSERT(static_cast<int64_t>(query.size()) == rows.dimensions);
  const auto num_rows = static_cast<int64_t>(rows.ids.size());
  k = std::min(k, num_rows);
  if (k <= 0) return {};
  const int64_t size = rows.dimensions;
  const double query_norm = norm(query);
  const double rounding = dot_error_bound(size) * query_norm;
  const int64_t num_quantized = rows.quantized ? std::min(rows.quantized->num_rows(), num_rows) : 0;

  Candidates candidates(k, min_score);
  std::vector<float> dots(static_cast<size_t>(std::min(kBlockRows, num_rows)));
  for (int64_t begin = 0; begin < num_quantized; begin += kBlockRows) {
    const int64_t count = std::min(kBlockRows, num_quantized - begin);
    dot_rows(rows.quantized->data() + begin * size, query.data(), count, size, dots.data());
    for (int64_t i = 0; i < count; ++i) {
      if (rows.ids[begin + i] < 0) continue;
      const double dot = static_cast<double>(rows.quantized->scale(begin + i)) * dots[i];
      const double error = query_norm * rows.quantized->residual(begin + i) +
                           rounding * rows.quantized->magnitude(begin + i);
      candidates.add({begin + i, dot - error, dot + error});
    }
  }
  const double error = rounding * rows.max_norm;  // Σ |row[i] query[i]| <= |row| |query|
  for (int64_t begin = num_quantized; begin < num_rows; begin += kBlockRows) {
    const int64_t count = std::min(kBlockRows, num_rows - begin);
    dot_rows(rows.data + begin * size, query.data(), count, size, dots.data());
    for (int64_t i = 0; i < count; ++i) {
      if (rows.ids[begin + i] < 0) continue;
      candidates.add({begin + i, dots[i] - error, dots[i] + error});
    }
  }

  return best_of(rows, query, candidates.finish(), k, min_score);
}

}  // namespace e5v::detail
