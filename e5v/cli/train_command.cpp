#include "e5v/cli/train_command.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <memory>
#include <utility>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/train_flags.h"
#include "e5v/cli/training_process.h"

namespace e5v::detail {
namespace {

std::vector<ObjectiveType> types_of(const std::string& objective) {
  const std::span<const ObjectiveType> all = objective_types();
  if (objective.empty()) return {all.begin(), all.end()};
  return {*find_objective_type(objective)};
}

struct TrainCommand {
  TrainCommand(Command command, const std::string& objective_, ReportTraining report_)
      : objective(objective_), report(std::move(report_)), types(types_of(objective_)) {
    register_files(command);
    flags.emplace(command.app(), types);
  }

  void register_files(Command& command) {
    command.add_required("model", files.model, "Checkpoint folder");
    command.add_required("data", files.data, "What is trained on, as the objective takes it");
    command.add_required("output", files.output, "Folder of the run");
    if (objective.empty()) {
      std::vector<std::string> names;
      for (const ObjectiveType& type : types) names.emplace_back(type.name);
      command.add("objective", objective, names,
                  fmt::format("What is trained for: {} [{}, or the recipe's]",
                              fmt::join(names, ", "), names[0]));
    }
    command.add("recipe", recipe, fmt::format("JSON file, or {}", fmt::join(recipe_names(), ", ")));
    command.add("adapter", files.adapter, "PEFT adapter to begin from");
    command.add("eval-data", files.eval_data, "Held out, as --data");
    command.add("resume", files.resume, "Go on from the newest checkpoint, if any");
    command.add("on-error", files.on_bad_row,
                {{"stop", OnBadRow::kStop}, {"skip", OnBadRow::kSkip}}, "What a bad row does");
    command.add("threads", threads,
                "Threads of this process; 0 = the usable cores (a small model: 1)");
    command.add("rank-timeout", rank_timeout_s,
                "Seconds to wait for other processes before giving up");
  }

  /// The objective's defaults, then the recipe, then the flags that were given.
  std::unique_ptr<TrainOptions> options() const {
    const Json from_recipe = recipe.empty() ? Json::object() : find_recipe(recipe);
    auto options =
        make_options_for(objective.empty() ? from_recipe : Json{{"objective", objective}}, recipe);
    apply_recipe(from_recipe, recipe, *options);
    apply_recipe(flags->given(), "command line", *options);
    options->validate();
    return options;
  }

  /// In a small model the threads' meetings cost more than their work saves, much more where other
  /// programs keep cores busy.
  int64_t chosen_threads(const TrainOptions& options) const {
    if (threads > 0) return threads;
    constexpr double kFewestFlopsPerToken = 2 * 8e6;
    return options.flops_per_token(files.model) < kFewestFlopsPerToken ? 1 : usable_cores();
  }

  void run(const CommandContext& context) const {
    const std::unique_ptr<TrainOptions> chosen = options();
    const RankAddress address = RankAddress::from_environment();
    // Ranks on one machine share its cores, unless told otherwise.
    at::set_num_threads(static_cast<int>(chosen_threads(*chosen)));
    keep_freed_memory();
    ProcessGroup group(address, rank_timeout_s);
    const bool quiet = context.quiet || !group.is_first();
    Progress reading("data", ProgressUnit::kItems, quiet);
    Progress training("train", ProgressUnit::kItems, quiet);
    TrainCallbacks callbacks = training_callbacks(training, context);
    callbacks.on_data_progress = reading.callback();
    Trainer trainer(files, *chosen, group, std::move(callbacks));
    const TrainSummary summary = trainer.run();
    if (!group.is_first()) return;
    if (summary.was_finished() && !context.json) {
      return context.print(fmt::format("{}: finished before, all {} steps are done",
                                       files.output.native(), summary.num_steps));
    }
    report(context, files, summary);
  }

  std::string objective;
  ReportTraining report;
  std::vector<ObjectiveType> types;
  TrainFiles files;
  std::string recipe;
  int64_t threads = 0;
  int64_t rank_timeout_s = 300;
  std::optional<TrainFlags> flags;
};

}  // namespace

void add_train_command(CLI::App& app, CommandContext& context, const TrainCommandTexts& texts,
                       const ReportTraining& report) {
  Command command = add_command(app, context, texts.name, texts.description, texts.examples);
  const auto train = std::make_shared<TrainCommand>(command, texts.objective, report);
  command.set_callback([train, &context] { train->run(context); });
}

}  // namespace e5v::detail
