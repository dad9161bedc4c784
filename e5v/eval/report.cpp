#include "e5v/eval/report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <system_error>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/eval/html_report.h"
#include "e5v/eval/protocols.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// NaN has no place in JSON.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string dump(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string shown(double value) {
  // Distances and logarithms of the gap are small numbers, shares are of 100.
  return std::isfinite(value) ? fmt::format("{:.2f}", value) : "not defined";
}

void add_fields(const Json& fields, const std::string& prefix, std::vector<std::string>& shown) {
  for (const auto& [key, value] : fields.items()) {
    if (value.is_object()) {
      add_fields(value, prefix + key + " ", shown);
      continue;
    }
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!text.empty()) shown.push_back(fmt::format("{}{}: {}", prefix, key, text));
  }
}

}  // namespace

void prepare_report_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder)) {
    throw FileError(folder.native(), "cannot create the report's folder",
                    error ? error.message() : "a file of that name exists");
  }
  const fs::path probe = folder / ".e5v-write-test";
  write_file(probe, "");
  fs::remove(probe, error);
}

std::string fields_line(const Json& fields, std::string_view separator) {
  std::vector<std::string> shown;
  add_fields(fields, "", shown);
  return fmt::format("{}", fmt::join(shown, separator));
}

Json results_json(const TaskReport& report) {
  Json metrics = Json::object();
  for (const Metric& metric : report.metrics) {
    Json& entry = metrics[metric.name] = {{"value", number(metric.value)}};
    if (metric.interval) {
      entry["low"] = number(metric.interval->low);
      entry["high"] = number(metric.interval->high);
    }
  }
  Json published = Json::object();
  for (const PublishedFigures& figures : published_figures(report.task)) {
    published[figures.system] = figures.metrics;
  }
  return {{"task", report.task},      {"system", report.system},
          {"data", report.data},      {"metrics", metrics},
          {"published", published},   {"partial", !report.skipped.empty()},
          {"skipped", report.skipped}};
}

std::string results_markdown(const TaskReport& report) {
  const std::vector<PublishedFigures>& published = published_figures(report.task);
  std::string text = fmt::format("# {}\n\n", report.task);
  if (!report.skipped.empty()) {
    text += fmt::format(
        "**Partial**: {} items could not be evaluated; the figures are of the "
        "rest.\n\n",
        report.skipped.size());
  }
  text += fmt::format("- {}\n- data: {}\n\n", fields_line(report.system, ", "),
                      fields_line(report.data, ", "));
  text += "| metric | measured | 95 % interval |";
  for (const PublishedFigures& figures : published)
    text += fmt::format(" {} (paper) |", figures.system);
  text += "\n|---|--:|--:|";
  for (size_t i = 0; i < published.size(); ++i) text += "--:|";
  text += "\n";
  for (const Metric& metric : report.metrics) {
    text += fmt::format("| {} | {} | {} |", metric.name, shown(metric.value),
                        metric.interval ? fmt::format("{} to {}", shown(metric.interval->low),
                                                      shown(metric.interval->high))
                                        : "");
    for (const PublishedFigures& figures : published) {
      const auto found = figures.metrics.find(metric.name);
      text += found == figures.metrics.end() ? " |" : fmt::format(" {} |", shown(found->second));
    }
    text += "\n";
  }
  if (const std::string_view note = note_on_published(report.task); !note.empty()) {
    text += fmt::format("\n{}\n", note);
  }
  if (!report.skipped.empty()) {
    text += "\n## Left out\n\n";
    for (const std::string& line : report.skipped) text += fmt::format("- {}\n", line);
  }
  return text;
}

void write_report(const fs::path& folder, const TaskReport& report) {
  prepare_report_folder(folder);
  write_file(folder / "results.json", dump(results_json(report)));
  write_file(folder / "per_query.json", Json(report.per_query).dump() + "\n");
  write_file(folder / "report.md", results_markdown(report));
  write_file(folder / "report.html", results_html(report));
  for (const auto& [name, content] : report.files) write_file(folder / name, content);
}

}  // namespace e5v::detail
