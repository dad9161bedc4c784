#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/eval/task_report.h"

namespace e5v {

/// Makes `folder` and sees that it can be written to: before hours of embedding, not after. Throws
/// FileError.
void prepare_report_folder(const std::filesystem::path& folder);

/// Writes results.json, per_query.json, report.md, report.html and the task's own files.
void write_report(const std::filesystem::path& folder, const TaskReport& report);

/// results.json: task, system, data, metrics {name: {value, low, high}}, partial, skipped,
/// published {system: {name: value}}.
Json results_json(const TaskReport& report);

/// Fields of a JSON object for people, nested ones behind the name of what they are in:
/// "split: val, dress queries: 2017". Empty texts are left out.
std::string fields_line(const Json& fields, std::string_view separator);

/// What is to be known about the paper's figures of the task, one sentence; mostly "".
std::string note_on_published_figures(const TaskReport& report);

/// The same for people: a table with the paper's figures beside.
std::string results_markdown(const TaskReport& report);

/// One page that needs no other file: figures, plots, the best and worst queries as pictures.
/// Pictures that cannot be read are shown by their names.
std::string results_html(const TaskReport& report);

/// One report of several: the same task and system on other data each (seeds, halves). A figure is
/// the mean over the queries of all, its interval is bootstrapped from them; figures that are no
/// means over queries are left out. Throws FileError, FormatError, and InputError if tasks or
/// systems differ or outcomes of single queries are missing.
TaskReport pool_reports(const std::vector<std::filesystem::path>& folders);

/// What is printed by `e5v eval compare`: reports side by side, differences from the first with
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
  std::vector<std::string> warnings;  ///< what makes figures hard to compare

  Json to_json() const;
  std::string to_markdown() const;
};

/// Reads results.json and per_query.json of two or more report folders. Throws FileError,
/// FormatError, and InputError if they are of different tasks.
Comparison compare_reports(const std::vector<std::filesystem::path>& folders);

}  // namespace e5v
