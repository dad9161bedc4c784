#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/eval/metrics.h"

namespace e5v::detail {

/// What `e5v eval compare` prints: reports side by side, differences from the first with
/// their 95 % intervals where both have the same queries.
struct Comparison {
  struct Difference {
    double value = 0;
    std::optional<Interval> interval;
  };
  struct Row {
    std::string metric;
    std::vector<std::optional<double>> values;           ///< one a report
    std::vector<std::optional<Difference>> differences;  ///< one a report but the first
  };
  std::vector<std::string> reports;  ///< names of the folders
  std::vector<Row> rows;
  std::vector<std::string> warnings;  ///< why figures may not be comparable

  Json to_json() const;
  std::string to_markdown() const;
};

/// Reads results.json and per_query.json of two or more report folders. Throws FileError,
/// FormatError, and InputError if they are of different tasks.
Comparison compare_reports(const std::vector<std::filesystem::path>& folders);

}  // namespace e5v::detail
