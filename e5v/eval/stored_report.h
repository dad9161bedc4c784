#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// A report as its folder has it.
struct StoredReport {
  std::string name;  ///< the folder's
  Json results;      ///< results.json; has "task", "data" and "metrics", an object
  /// Each query's value of a metric; empty where the folder has no per_query.json.
  std::map<std::string, std::vector<double>> per_query;

  std::optional<double> value(const std::string& metric) const;
};

/// Throws FileError, FormatError.
StoredReport read_report(const std::filesystem::path& folder);

}  // namespace e5v::detail
