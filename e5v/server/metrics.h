#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace e5v::detail {

/// What a server counts, in the text format of Prometheus. Thread-safe.
class Metrics {
 public:
  void add_request(const std::string& path, int status, double seconds);
  void add_batch(int64_t items, int64_t tokens, double seconds);

  /// `num_waiting` items are in the queue now.
  std::string text(int64_t num_waiting) const;

 private:
  /// Cumulative counts of values up to each bound, their sum and number.
  struct Histogram {
    std::array<uint64_t, 12> counts{};
    double sum = 0;
    uint64_t count = 0;
  };
  static void add_to(Histogram& histogram, const std::array<double, 12>& bounds, double value);

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> requests_;
  Histogram request_seconds_, batch_items_;
  uint64_t items_ = 0, tokens_ = 0;
  double model_seconds_ = 0;
};

}  // namespace e5v::detail
