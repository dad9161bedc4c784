#pragma once

#include <filesystem>
#include <vector>

#include "e5v/eval/task_report.h"

namespace e5v::detail {

/// One report of several: the same task and system on other data each (seeds, halves). A figure is
/// the mean over the queries of all, its interval is bootstrapped from them; figures that are
/// not a mean over queries are left out. Throws FileError, FormatError, and InputError if tasks or
/// systems differ or outcomes of single queries are missing.
TaskReport pool_reports(const std::vector<std::filesystem::path>& folders);

}  // namespace e5v::detail
