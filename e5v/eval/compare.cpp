#include "e5v/eval/compare.h"

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/eval/stored_report.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

std::optional<Comparison::Difference> difference(const StoredReport& first,
                                                 const StoredReport& other,
                                                 const std::string& metric) {
  const auto a = first.value(metric), b = other.value(metric);
  if (!a || !b) return std::nullopt;
  Comparison::Difference result{.value = *b - *a, .interval = {}};
  const auto of_a = first.per_query.find(metric), of_b = other.per_query.find(metric);
  const bool same_queries = of_a != first.per_query.end() && of_b != other.per_query.end() &&
                            of_a->second.size() == of_b->second.size();
  if (same_queries) result.interval = bootstrap_difference(of_a->second, of_b->second);
  return result;
}

std::string signed_number(double value) { return fmt::format("{:+.2f}", value); }

}  // namespace

Comparison compare_reports(const std::vector<fs::path>& folders) {
  if (folders.size() < 2) throw InputError("a comparison needs two reports or more");
  std::vector<StoredReport> reports;
  for (const fs::path& folder : folders) reports.push_back(read_report(folder));
  Comparison comparison;
  for (const StoredReport& report : reports) {
    comparison.reports.push_back(report.name);
    if (report.results.at("task") != reports.front().results.at("task")) {
      throw InputError(fmt::format("{} is of task {}, but {} of {}", report.name,
                                   report.results.at("task").dump(), reports.front().name,
                                   reports.front().results.at("task").dump()));
    }
    if (report.results.at("data") != reports.front().results.at("data")) {
      comparison.warnings.push_back(
          fmt::format("{} was measured on other data than {}", report.name, reports.front().name));
    }
    if (field_or(report.results, "partial", false)) {
      comparison.warnings.push_back(report.name + " is partial");
    }
  }
  std::vector<std::string> metrics;
  for (const StoredReport& report : reports) {
    for (const auto& [metric, unused] : report.results.at("metrics").items()) {
      if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
        metrics.push_back(metric);
      }
    }
  }
  for (const std::string& metric : metrics) {
    Comparison::Row& row = comparison.rows.emplace_back();
    row.metric = metric;
    for (const StoredReport& report : reports) {
      row.values.push_back(report.value(metric));
      if (&report != &reports.front()) {
        row.differences.push_back(difference(reports.front(), report, metric));
      }
    }
  }
  return comparison;
}

Json Comparison::to_json() const {
  Json json = {{"reports", reports}, {"warnings", warnings}, {"metrics", Json::object()}};
  for (const Row& row : rows) {
    Json values = Json::array(), differences = Json::array();
    for (const auto& value : row.values) values.push_back(value ? Json(*value) : Json());
    for (const auto& difference : row.differences) {
      if (!difference) {
        differences.push_back(nullptr);
        continue;
      }
      Json entry = {{"value", difference->value}};
      if (difference->interval) {
        entry["low"] = difference->interval->low;
        entry["high"] = difference->interval->high;
      }
      differences.push_back(std::move(entry));
    }
    json["metrics"][row.metric] = {{"values", values}, {"differences", differences}};
  }
  return json;
}

std::string Comparison::to_markdown() const {
  std::string text = "| metric |";
  for (size_t i = 0; i < reports.size(); ++i) {
    text += fmt::format(" {} |", reports[i]);
    if (i > 0) text += " difference (95 %) |";
  }
  text += "\n|---|";
  for (size_t i = 0; i + 1 < 2 * reports.size(); ++i) text += "--:|";
  for (const Row& row : rows) {
    text += fmt::format("\n| {} |", row.metric);
    for (size_t i = 0; i < reports.size(); ++i) {
      text += row.values[i] ? fmt::format(" {:.2f} |", *row.values[i]) : " |";
      if (i == 0) continue;
      const auto& difference = row.differences[i - 1];
      if (!difference) {
        text += " |";
      } else if (!difference->interval) {
        text += fmt::format(" {} |", signed_number(difference->value));
      } else {
        text += fmt::format(" {} ({} to {}) |", signed_number(difference->value),
                            signed_number(difference->interval->low),
                            signed_number(difference->interval->high));
      }
    }
  }
  for (const std::string& warning : warnings) text += "\n\nNote: " + warning + ".";
  return text;
}

}  // namespace e5v::detail
