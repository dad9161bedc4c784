#include "e5v/train/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/training_process.h"
#include "e5v/families/registry.h"

namespace e5v {
namespace {

struct TrainCommand {
  TrainFiles files;
  std::string recipe = "clean";
  int64_t threads = 0;
  int64_t rank_timeout_s = 300;
  TrainOptions flags;  ///< what the command line says; only flags that were given count

  /// The defaults, then the recipe, then the flags that were given.
  TrainOptions merged(const CLI::App& command) const {
    TrainOptions options;
    apply_recipe(find_recipe(recipe), recipe, options);
    const auto was_given = [&command](const std::string& flag) {
      const CLI::Option* option = command.get_option_no_throw(flag);
      return option != nullptr && option->count() > 0;
    };
    Json given = Json::object();
    const Json all = to_json(flags);
    for (const auto& [key, value] : all.items()) {
      std::string name = key;
      std::replace(name.begin(), name.end(), '_', '-');
      if (was_given("--" + name) || was_given("--no-" + name)) given[key] = value;
    }
    apply_recipe(given, "command line", options);
    return options;
  }

  /// In a small model the threads' meetings cost more than their work saves, much more where other
  /// programs keep cores busy.
  int64_t chosen_threads(TrainingObjective objective) const {
    if (threads > 0) return threads;
    constexpr double kFewestFlopsPerToken = 2 * 8e6;
    const double flops = objective == TrainingObjective::kClip
                             ? clip_flops(ClipConfig::load(files.model), 0, 1, {1, 0})
                             : text_flops(load_architecture(files.model)->text(), 1, {1, 0});
    return flops < kFewestFlopsPerToken ? 1 : usable_cores();
  }

  void run(const CommandContext& context, const CLI::App& command) const {
    const TrainOptions options = merged(command);
    options.validate();
    shorten_waits();
    const RankAddress address = RankAddress::from_environment();
    // Ranks on one machine share its cores, unless told otherwise.
    at::set_num_threads(static_cast<int>(chosen_threads(options.objective)));
    keep_freed_memory();
    ProcessGroup group(address, rank_timeout_s);
    Progress progress("train", ProgressUnit::kItems, context.quiet || !group.is_first());
    Trainer trainer(files, options, group, training_callbacks(progress, context));
    const TrainSummary summary = trainer.run();
    if (group.is_first()) report(summary, context);
  }

  void report(const TrainSummary& summary, const CommandContext& context) const {
    const TrainingCost& text = summary.text_cost;
    const std::optional<TrainingCost>& pictures = summary.picture_cost;
    if (context.json) {
      const auto cost = [](const TrainingCost& c) {
        return Json{{"tokens", c.tokens}, {"flops", c.flops}, {"seconds", c.seconds}};
      };
      return context.print_json({{"output", files.output.native()},
                                 {"steps", summary.num_steps},
                                 {"loss", summary.last_loss},
                                 {"pairs", summary.num_pairs},
                                 {"cost", cost(text)},
                                 {"cost_with_pictures", pictures ? cost(*pictures) : Json()}});
    }
    context.print(fmt::format("{}: {} steps, last loss {:.4f}", files.output.native(),
                              summary.num_steps, summary.last_loss));
    const auto line = [&](const char* what, const TrainingCost& c) {
      context.print(fmt::format("{} {} pairs: {:.3g} tokens, {:.3g} FLOP, {:.3g} s", what,
                                summary.num_pairs, static_cast<double>(c.tokens), c.flops,
                                c.seconds));
    };
    line(pictures ? "Trained on texts," : "Trained on", text);
    if (pictures) line("With a 640x480 picture for each anchor (estimated),", *pictures);
  }
};

}  // namespace

void register_train(CLI::App& app, CommandContext& context) {
  CLI::App* command = add_command(
      app, context, "train", "Tune a model on pairs of texts, so that all modalities get better",
      "e5v train --model models/llama3-llava-next-8b --data nli.csv --recipe e5v-8b --output run\n"
      "e5v train --model models/tiny --data nli.csv --recipe tiny --output run --seed 7\n"
      "e5v train --model models/tiny --data nli.csv --recipe tiny --output run --resume\n"
      "e5v train --model models/clip --data pairs.jsonl --recipe clip --output run\n"
      "torchrun --no-python --nproc-per-node 2 e5v train …\n"
      "\n"
      "Recipes are JSON files with any of the options below, in underscores; flags go before "
      "them.");
  auto train = std::make_shared<TrainCommand>();
  command->add_option("--model", train->files.model, "Checkpoint folder")->required();
  command
      ->add_option("--data", train->files.data,
                   "Triplets (.csv, .tsv or .jsonl), or what the objective takes")
      ->required();
  command->add_option("--output", train->files.output, "Folder of the run")->required();
  command
      ->add_option("--recipe", train->recipe,
                   fmt::format("JSON file, or {}", fmt::join(recipe_names(), ", ")))
      ->capture_default_str();
  command->add_option("--adapter", train->files.adapter, "PEFT adapter to begin from");
  command->add_option("--eval-data", train->files.eval_data, "Held-out triplets");
  command->add_flag("--resume", train->files.resume, "Go on from the newest checkpoint, if any");
  CliOptionRegistry registry(*command);
  registry.add("on-error", train->files.on_bad_row,
               {{"stop", OnBadRow::kStop}, {"skip", OnBadRow::kSkip}}, "What a bad row does");
  registry.add("threads", train->threads,
               "Threads of this process; 0 = the usable cores (a small model: 1)");
  registry.add("rank-timeout", train->rank_timeout_s,
               "Seconds to wait for other processes before giving up");
  train->flags.register_options(registry);
  command->callback([train, command, &context] { train->run(context, *command); });
}

}  // namespace e5v
