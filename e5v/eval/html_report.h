#pragma once

#include <string>

#include "e5v/eval/task_report.h"

namespace e5v::detail {

/// One page that needs no other file: figures, plots, the best and worst queries as pictures.
/// Pictures that cannot be read are shown by their names.
std::string results_html(const TaskReport& report);

}  // namespace e5v::detail
