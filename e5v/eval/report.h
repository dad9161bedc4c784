#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/eval/task_report.h"

namespace e5v::detail {

/// Makes `folder` and tries to write to it, so that a wrong one is found before hours of embedding.
/// Throws FileError.
void prepare_report_folder(const std::filesystem::path& folder);

/// Writes results.json, per_query.json, report.md, report.html and the task's own files.
void write_report(const std::filesystem::path& folder, const TaskReport& report);

/// results.json: task, system, data, metrics {name: {value, low, high}}, partial, skipped,
/// published {system: {name: value}}.
Json results_json(const TaskReport& report);

/// Fields of a JSON object for people, nested ones behind the name of what they are in:
/// "split: val, dress queries: 2017". Empty texts are left out.
std::string fields_line(const Json& fields, std::string_view separator);

/// The same for people: a table with the published figures beside.
std::string results_markdown(const TaskReport& report);

}  // namespace e5v::detail
