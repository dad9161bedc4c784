#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "e5v/eval/retrieval.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v {

/// A system under which a task is looked at once more: without the prompt, before training.
struct SystemVariant {
  std::string name;  ///< "with the prompt"
  std::string key;   ///< part of metrics' names; empty = none, for the first
  std::function<std::unique_ptr<System>()> make;
};

/// The distance between pictures and texts: each picture with its first caption. Each variant gives
/// its figures (`gap_…`, with its key in front) and a plot of both modalities in a plane.
TaskReport evaluate_gap(const std::vector<SystemVariant>& variants, RetrievalSet set,
                        OnMissing on_missing);

}  // namespace e5v
