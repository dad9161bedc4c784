#include "e5v/eval/stored_report.h"

#include "e5v/base/error.h"

namespace e5v::detail {

namespace fs = std::filesystem;

std::optional<double> StoredReport::value(const std::string& metric) const {
  const Json& metrics = results.at("metrics");
  const auto found = metrics.find(metric);
  return found == metrics.end() ? std::nullopt : find_field<double>(*found, "value");
}

StoredReport read_report(const fs::path& folder) {
  StoredReport report;
  report.name = folder.lexically_normal().string();
  const fs::path path = folder / "results.json";
  if (!fs::exists(path)) {
    throw FileError(folder.native(), "cannot read a report", "it has no results.json");
  }
  report.results = read_json(path);
  try {
    require_field<std::string>(report.results, "task");
    require_field<Json>(report.results, "data");
    const auto metrics = require_field<Json>(report.results, "metrics");
    if (!metrics.is_object()) throw ConfigError("'metrics' is no object");
    if (fs::exists(folder / "per_query.json")) {
      const Json per_query = read_json(folder / "per_query.json");
      for (const auto& [metric, values] : per_query.items()) {
        report.per_query[metric] = json_as<std::vector<double>>(values, metric);
      }
    }
  } catch (const ConfigError& error) {
    throw FormatError(folder.native(), error.what());
  }
  return report;
}

}  // namespace e5v::detail
