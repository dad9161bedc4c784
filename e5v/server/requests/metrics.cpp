// Counters for Prometheus.
#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

HttpAnswer metrics(const RouteCall&, Serving& serving) {
  return {.status = 200,
          .content_type = "text/plain; version=0.0.4",
          .body = serving.metrics->text(serving.batcher->num_waiting())};
}

}  // namespace

std::vector<Route> metrics_routes() {
  return {{.method = "GET",
           .path = "/metrics",
           .document = {.summary = "Counters in Prometheus' format", .response_type = "text/plain"},
           .answer = metrics}};
}

}  // namespace e5v::detail
