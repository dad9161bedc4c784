#include "e5v/cli/suggest.h"

#include <algorithm>

namespace e5v::detail {

size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: rows i - 2, i - 1 and i of the table.
  std::vector<size_t> older(b.size() + 1), old(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    older.swap(old);
    old.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({old[j] + 1, row[j - 1] + 1, old[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], older[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest(std::string_view given, const std::vector<std::string>& known) {
  constexpr size_t kMaxEdits = 2;
  constexpr size_t kMinPrefix = 3;
  constexpr size_t kMaxBytes = 100;  // nobody means a name with more
  if (given.size() > kMaxBytes) return std::nullopt;
  std::optional<std::string> best;
  size_t best_distance = kMaxEdits + 1;
  for (const std::string& name : known) {
    const size_t distance = edit_distance(given, name);
    if (distance < best_distance && 2 * distance < name.size()) {
      best = name;
      best_distance = distance;
    }
  }
  if (best || given.size() < kMinPrefix) return best;
  for (const std::string& name : known) {
    if (name.starts_with(given)) return name;
  }
  return std::nullopt;
}

}  // namespace e5v::detail
