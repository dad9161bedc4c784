#pragma once

#include <string>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// A picture (SVG) of the loss over the steps of metrics.jsonl, with a running mean; evaluations on
/// held-out data as dots. Metrics without a loss are passed over; without any, an empty plot.
std::string loss_curve_svg(const std::vector<Json>& metrics);

}  // namespace e5v::detail
