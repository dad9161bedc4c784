#include "e5v/train/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/commands.h"

namespace e5v {
namespace {

/// Every step needs the same large tensors: given back to the system in between, a quarter of the
/// time goes into getting and clearing their pages anew.
void keep_freed_memory() {
  ::mallopt(M_MMAP_MAX, 0);  // M_MMAP_THRESHOLD goes to 32 MB only
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

/// OpenMP's threads wait for each other in a loop, libgomp's for about 15 ms before they sleep: on
/// a machine with other work that takes more time than the training. libgomp reads its settings
/// when it is loaded, so the program begins anew with a shorter wait (0.1 ms) if nobody set one.
void shorten_waits() {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::ifstream command_line("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string one; std::getline(command_line, one, '\0');) arguments.push_back(one);
  if (arguments.empty() || ::setenv("GOMP_SPINCOUNT", "2000", /*overwrite=*/0) != 0) return;
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error)
    ::execv(program.c_str(),
            pointers.data());  // returns only where it failed: then with long waits
}

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
    Json given = Json::object();
    const Json all = to_json(flags);
    for (const auto& [key, value] : all.items()) {
      std::string flag = "--" + key;
      std::replace(flag.begin(), flag.end(), '_', '-');
      const CLI::Option* option = command.get_option_no_throw(flag);
      if (option != nullptr && option->count() > 0) given[key] = value;
    }
    apply_recipe(given, "command line", options);
    return options;
  }

  /// In a small model the threads' meetings cost more than their work saves, much more where other
  /// programs keep cores busy.
  int64_t chosen_threads() const {
    if (threads > 0) return threads;
    constexpr double kFewestFlopsPerToken = 2 * 8e6;
    const double flops = text_flops(LlavaConfig::load(files.model).text, 1, {1, 0});
    return flops < kFewestFlopsPerToken ? 1 : usable_cores();
  }

  void run(const CommandContext& context, const CLI::App& command) const {
    const TrainOptions options = merged(command);
    options.validate();
    shorten_waits();
    const RankAddress address = RankAddress::from_environment();
    // Ranks on one machine share its cores, unless told otherwise.
    at::set_num_threads(static_cast<int>(chosen_threads()));
    keep_freed_memory();
    Ranks ranks(address, rank_timeout_s);
    Progress progress("train", ProgressUnit::kItems, context.quiet || !ranks.is_first());
    TrainCallbacks callbacks;
    callbacks.on_message = [&](const std::string& message) { context.log().info("{}", message); };
    callbacks.on_warning = [&](const std::string& message) { context.log().warn("{}", message); };
    callbacks.on_step = [&](const StepMetrics& metrics) {
      progress.set_label(fmt::format("train  loss {:.4f}  lr {:.2e}  {:.0f} tokens/s  step",
                                     metrics.loss, metrics.learning_rate,
                                     metrics.tokens_per_second));
      progress.update(static_cast<uint64_t>(metrics.step),
                      static_cast<uint64_t>(metrics.num_steps));
    };
    Trainer trainer(files, options, ranks, callbacks);
    const TrainSummary summary = trainer.run();
    if (ranks.is_first()) report(summary, context);
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
    line("Trained on texts,", text);
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
      "torchrun --no-python --nproc-per-node 2 e5v train …\n"
      "\n"
      "Recipes are JSON files with any of the options below, in underscores; flags go before "
      "them.");
  auto train = std::make_shared<TrainCommand>();
  command->add_option("--model", train->files.model, "Checkpoint folder")->required();
  command->add_option("--data", train->files.data, "Triplets: .csv, .tsv or .jsonl")->required();
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
