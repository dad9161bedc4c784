#include "e5v/server/metrics.h"

#include <fmt/format.h>

namespace e5v::detail {
namespace {

constexpr std::array<double, 12> kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                             0.5,   1,    2.5,   5,    10,  30};
constexpr std::array<double, 12> kItems = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};

std::string head(const char* name, const char* type, const char* help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

void Metrics::add_to(Histogram& histogram, const std::array<double, 12>& bounds, double value) {
  for (size_t i = 0; i < bounds.size(); ++i) {
    if (value <= bounds[i]) ++histogram.counts[i];
  }
  histogram.sum += value;
  ++histogram.count;
}

void Metrics::add_request(const std::string& path, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{path, status}];
  add_to(request_seconds_, kSeconds, seconds);
}

void Metrics::add_batch(int64_t items, int64_t tokens, double seconds) {
  const std::lock_guard lock(mutex_);
  items_ += static_cast<uint64_t>(items);
  tokens_ += static_cast<uint64_t>(tokens);
  model_seconds_ += seconds;
  add_to(batch_items_, kItems, static_cast<double>(items));
}

std::string Metrics::text(int64_t num_waiting) const {
  const std::lock_guard lock(mutex_);
  std::string text = head("e5v_requests_total", "counter", "Answered requests.");
  for (const auto& [key, count] : requests_) {
    text += fmt::format("e5v_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first,
                        key.second, count);
  }
  const auto histogram = [&](const char* name, const char* help, const Histogram& values,
                             const std::array<double, 12>& bounds) {
    text += head(name, "histogram", help);
    for (size_t i = 0; i < bounds.size(); ++i) {
      text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bounds[i], values.counts[i]);
    }
    text += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, values.count,
                        name, values.sum, name, values.count);
  };
  histogram("e5v_request_seconds", "Time to answer a request.", request_seconds_, kSeconds);
  histogram("e5v_batch_items", "Items that the model embeds at once.", batch_items_, kItems);
  text += head("e5v_items_total", "counter", "Embedded items.") +
          fmt::format("e5v_items_total {}\n", items_);
  text += head("e5v_tokens_total", "counter", "Tokens of embedded items, pictures' included.") +
          fmt::format("e5v_tokens_total {}\n", tokens_);
  text += head("e5v_model_seconds_total", "counter", "Time in which the model worked.") +
          fmt::format("e5v_model_seconds_total {}\n", model_seconds_);
  text += head("e5v_waiting_items", "gauge", "Items that were accepted and are not done.") +
          fmt::format("e5v_waiting_items {}\n", num_waiting);
  return text;
}

}  // namespace e5v::detail
