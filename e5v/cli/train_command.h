#pragma once

#include <functional>
#include <string>

#include "e5v/cli/commands.h"
#include "e5v/train/trainer.h"

namespace e5v::detail {

/// A command that trains: its place in the help, and what it is about.
struct TrainCommandTexts {
  std::string name;
  std::string description;
  std::string examples;
  /// The only objective; empty: --objective and --recipe choose one of all.
  std::string objective = "";
};

/// What is printed of a run that has done steps.
using ReportTraining =
    std::function<void(const CommandContext&, const TrainFiles&, const TrainSummary&)>;

/// Makes the command with its options.
void add_train_command(CLI::App& app, CommandContext& context, const TrainCommandTexts& texts,
                       const ReportTraining& report);

}  // namespace e5v::detail
