#pragma once

#include <vector>

#include "e5v/eval/data_options.h"
#include "e5v/eval/retrieval.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v::detail {

/// Reads the pictures, each with its first caption. Throws as load_retrieval.
RetrievalSet load_gap(const DataOptions& options);

/// The distance between pictures and texts: each picture with its first caption. Each variant gives
/// its figures (`gap_…`, with its key in front) and a plot of both modalities in a plane.
TaskReport evaluate_gap(const std::vector<SystemVariant>& variants, RetrievalSet set,
                        OnMissing on_missing);

}  // namespace e5v::detail
