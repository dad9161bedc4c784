#include <string>

#include "e5v/cli/train_command.h"

namespace e5v::detail {
namespace {

void report(const CommandContext& context, const TrainFiles& files, const TrainSummary& summary) {
  const std::string result = (files.output / "phi.safetensors").native();
  if (!context.json) {
    return context.print(fmt::format("{}: {} steps, last loss {:.4f}, {:.3g} FLOP, {:.3g} s",
                                     result, summary.num_steps, summary.last_loss,
                                     summary.text_cost.flops, summary.text_cost.seconds));
  }
  context.print_json({{"phi", result},
                      {"steps", summary.num_steps},
                      {"loss", summary.last_loss},
                      {"pictures", summary.num_pairs},
                      {"flops", summary.text_cost.flops},
                      {"seconds", summary.text_cost.seconds}});
}

}  // namespace

void register_train_phi(CLI::App& app, CommandContext& context) {
  add_train_command(
      app, context,
      {.name = "train-phi",
       .description = "Train SEARLE's network of pseudo-words: as train --objective phi",
       .examples =
           "e5v train-phi --model clip-vit-large-patch14 --data unlabeled2017/ --output phi\n"
           "e5v train-phi --model clip --data pictures/ --concepts concepts.txt --output phi "
           "--resume\n"
           "e5v eval run cirr --system searle --model clip --phi phi/phi.safetensors --data cirr/ "
           "--output report",
       .objective = "phi"},
      report);
}

}  // namespace e5v::detail
