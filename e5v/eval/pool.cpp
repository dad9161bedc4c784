#include "e5v/eval/pool.h"

#include <utility>

#include "e5v/base/error.h"
#include "e5v/eval/stored_report.h"

namespace e5v::detail {

TaskReport pool_reports(const std::vector<std::filesystem::path>& folders) {
  if (folders.size() < 2) throw InputError("pooling needs two reports or more");
  std::vector<StoredReport> reports;
  for (const auto& folder : folders) reports.push_back(read_report(folder));
  const StoredReport& first = reports.front();
  TaskReport pooled;
  pooled.task = first.results.at("task").get<std::string>();
  pooled.system = field_or(first.results, "system", Json::object());
  Json parts = Json::array();
  for (const StoredReport& report : reports) {
    for (const char* key : {"task", "system"}) {
      if (report.results.value(key, Json()) == first.results.value(key, Json())) continue;
      throw InputError(fmt::format("{} and {} differ in their {}, expected reports of one system",
                                   first.name, report.name, key));
    }
    parts.push_back(report.results.at("data"));
    for (const Json& skipped : field_or(report.results, "skipped", Json::array())) {
      pooled.skipped.push_back(skipped.get<std::string>());
    }
  }
  pooled.data = {{"parts", std::move(parts)}};
  for (const auto& [metric, unused] : first.per_query) {
    std::vector<double> values;
    for (const StoredReport& report : reports) {
      const auto found = report.per_query.find(metric);
      if (found == report.per_query.end()) {
        throw InputError(fmt::format("{} has no outcomes of {}", report.name, metric));
      }
      values.insert(values.end(), found->second.begin(), found->second.end());
    }
    pooled.add_mean(metric, std::move(values));
  }
  if (pooled.metrics.empty()) {
    throw InputError(fmt::format("{} has no outcomes of single queries to pool", first.name));
  }
  return pooled;
}

}  // namespace e5v::detail
