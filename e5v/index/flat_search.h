#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace e5v::detail {

/// A found vector.
struct ScoredRow {
  int64_t row = 0;
  int64_t id = 0;
  double score = 0;  ///< inner product, summed in double precision

  friend bool operator==(const ScoredRow&, const ScoredRow&) = default;
};

/// Best first; of equal scores the smaller id.
inline bool ranks_before(const ScoredRow& a, const ScoredRow& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

/// Sorts and keeps the best `k` of at least `min_score`.
void keep_best(std::vector<ScoredRow>& rows, int64_t k, double min_score);

/// Σ a·b in double precision; the order of the sum depends on the length alone.
double exact_dot(std::span<const float> a, std::span<const float> b);

/// Vectors as 8-bit integers with a scale each, and with the length of what rounding lost: a
/// quarter of the memory to read, and a bound on the error. It grows with the vectors; kept by
/// whoever searches them often. Not thread-safe while it grows.
class QuantizedVectors {
 public:
  explicit QuantizedVectors(int64_t dimensions) : dimensions_(dimensions) {}

  /// Appends `rows` [n, dimensions].
  void append(std::span<const float> rows);

  int64_t num_rows() const { return static_cast<int64_t>(scales_.size()); }
  int64_t dimensions() const { return dimensions_; }
  const int8_t* data() const { return values_.data(); }
  /// row ≈ scale · values
  float scale(int64_t row) const { return scales_[row]; }
  /// |row − scale · values|, rounded up.
  float residual(int64_t row) const { return residuals_[row]; }
  /// |scale · values|, rounded up.
  float magnitude(int64_t row) const { return magnitudes_[row]; }

 private:
  int64_t dimensions_;
  std::vector<int8_t> values_;  // [num_rows, dimensions]
  std::vector<float> scales_, residuals_, magnitudes_;
};

/// What flat_search ranks: rows of float32 and, for each, the id it counts under.
struct FlatRows {
  const float* data = nullptr;  ///< [ids.size(), dimensions], row-major
  int64_t dimensions = 0;
  std::span<const int64_t> ids;                 ///< a negative id: the row is not there
  const QuantizedVectors* quantized = nullptr;  ///< of the first rows, or of none
  double max_norm = 1.001;                      ///< no row is longer
};

/// The best `k` rows by inner product with `query`, exactly: the same rows in the same order as if
/// every product were summed in double precision. A first pass in lower precision only leaves out
/// rows that cannot be among the best, by a bound on its error (Cauchy-Schwarz on what rounding
/// lost).
std::vector<ScoredRow> flat_search(const FlatRows& rows, std::span<const float> query, int64_t k,
                                   double min_score = -std::numeric_limits<double>::infinity());

}  // namespace e5v::detail
