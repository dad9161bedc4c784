#pragma once

#include <filesystem>

#include "e5v/train/triplets.h"

namespace e5v::detail {

/// The files of a training run.
struct TrainFiles {
  std::filesystem::path model;      ///< checkpoint folder
  std::filesystem::path data;       ///< what the objective takes (ObjectiveType::data)
  std::filesystem::path output;     ///< what is written (run_folder.h)
  std::filesystem::path adapter;    ///< PEFT adapter to begin from; empty: none
  std::filesystem::path eval_data;  ///< held-out rows; empty: none
  OnBadRow on_bad_row = OnBadRow::kStop;
  /// Go on from the newest checkpoint in `output`; without one, begin.
  bool resume = false;
};

}  // namespace e5v::detail
