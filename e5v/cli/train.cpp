#include <optional>
#include <string>

#include "e5v/cli/train_command.h"
#include "e5v/train/objective.h"

namespace e5v::detail {
namespace {

void report(const CommandContext& context, const TrainFiles& files, const TrainSummary& summary) {
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

/// The lines of the help that say what each objective learns, and of what.
std::string objectives_help() {
  std::string lines = "\nObjectives:\n";
  for (const ObjectiveType& type : objective_types()) {
    lines += fmt::format("{:<12} {}\n{:<12} --data: {}\n", type.name, type.summary, "", type.data);
  }
  return lines;
}

}  // namespace

void register_train(CLI::App& app, CommandContext& context) {
  add_train_command(
      app, context,
      {.name = "train",
       .description = "Tune a model on pairs of texts, so that all modalities get better; or train "
                      "a language model, a CLIP, SEARLE's network",
       .examples =
           "e5v train --model models/llama3-llava-next-8b --data nli.csv --recipe e5v-8b "
           "--output run\n"
           "e5v train --model models/tiny --data nli.csv --recipe tiny --output run --seed 7\n"
           "e5v train --model models/tiny --data nli.csv --recipe tiny --output run --resume\n"
           "e5v train --model models/clip --data pairs.jsonl --recipe clip --output run\n"
           "e5v train --model models/clip --data pictures/ --objective phi --output run\n"
           "torchrun --no-python --nproc-per-node 2 e5v train …\n" +
           objectives_help() +
           "\nRecipes are JSON files with any of the options above, in underscores; flags go "
           "before them."},
      report);
}

}  // namespace e5v::detail
