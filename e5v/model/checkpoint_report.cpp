#include "e5v/model/checkpoint_report.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace e5v::detail {

std::string CheckpointReport::summary(size_t max_names) const {
  std::string text;
  const auto add = [&](const char* kind, const std::vector<std::string>& names) {
    if (names.empty()) return;
    const size_t shown = std::min(names.size(), max_names);
    const std::vector<std::string> head(names.begin(), names.begin() + static_cast<long>(shown));
    text += fmt::format("{}{} {}: {}", text.empty() ? "" : "; ", names.size(), kind,
                        fmt::join(head, ", "));
    if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  };
  add("missing", missing);
  add("of another shape", misshaped);
  add("unexpected", unexpected);
  return text;
}

}  // namespace e5v::detail
