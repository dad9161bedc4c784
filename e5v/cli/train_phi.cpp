#include <ATen/Parallel.h>

#include <memory>
#include <string>

#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/training_process.h"
#include "e5v/train/phi_objective.h"
#include "e5v/train/trainer.h"

namespace e5v {
namespace {

struct TrainPhiCommand {
  TrainFiles files;
  TrainOptions options;
  PhiOptions phi;
  int64_t threads = 0;

  TrainPhiCommand() {
    options.batch_size = 256;
    options.micro_batch_size = 64;
    options.epochs = 50;
    options.base_precision = Precision::kFloat32;
    options.optimizer.learning_rate = 1e-4;
    options.optimizer.warmup_steps = 100;
    options.optimizer.schedule = Schedule::kCosine;
    options.optimizer.weight_decay = 0.01;
  }

  /// Those of TrainOptions that φ's training has.
  void register_options(OptionRegistry& registry) {
    registry.add("batch-size", options.batch_size, "Pictures of one step");
    registry.add("micro-batch-size", options.micro_batch_size, "Pictures in memory at once");
    registry.add("epochs", options.epochs, "Times that the pictures are gone through");
    registry.add("max-steps", options.max_steps, "End after so many steps; 0 = after the epochs");
    registry.add("seed", options.seed, "Of shuffling, initial weights, dropout and concepts");
    registry.add("base-precision", options.base_precision,
                 {{"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}},
                 "What CLIP computes in");
    registry.add("save-every", options.save_every, "Steps between checkpoints; 0 = none");
    registry.add("keep-checkpoints", options.keep_checkpoints, "Checkpoints that stay");
    registry.add("eval-every", options.eval_every, "Steps between evaluations of --eval-data");
    registry.add("eval-rows", options.eval_rows, "Pictures of --eval-data that count; 0 = all");
    phi.register_options(registry);
    options.optimizer.register_options(registry);
    registry.add("on-error", files.on_bad_row,
                 {{"stop", OnBadRow::kStop}, {"skip", OnBadRow::kSkip}},
                 "What a picture does that cannot be read");
    registry.add("threads", threads, "Threads; 0 = the usable cores");
  }

  void run(const CommandContext& context) const {
    shorten_waits();
    at::set_num_threads(static_cast<int>(threads > 0 ? threads : usable_cores()));
    keep_freed_memory();
    ProcessGroup alone;
    Progress reading("pictures", ProgressUnit::kItems, context.quiet);
    Progress training("train-phi", ProgressUnit::kItems, context.quiet);
    const auto make = [&](ProcessGroup& group,
                          const std::function<void(const std::string&)>& on_warning) {
      return std::make_unique<PhiObjective>(PhiObjective::Files{.model = files.model,
                                                                .pictures = files.data,
                                                                .eval_pictures = files.eval_data,
                                                                .cache = files.output,
                                                                .on_bad_picture = files.on_bad_row},
                                            options, phi, group, reading.callback(), on_warning);
    };
    Trainer trainer(files, options, alone, training_callbacks(training, context), make);
    const TrainSummary summary = trainer.run();
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
};

}  // namespace

void register_train_phi(CLI::App& app, CommandContext& context) {
  CLI::App* command = add_command(
      app, context, "train-phi", "Train SEARLE's network of pseudo-words on pictures without texts",
      "e5v train-phi --model clip-vit-large-patch14 --data unlabeled2017/ --output phi\n"
      "e5v train-phi --model clip --data pictures/ --concepts concepts.txt --output phi --resume\n"
      "e5v eval cirr --system searle --model clip --phi phi/phi.safetensors --data cirr/ --output "
      "report");
  auto train = std::make_shared<TrainPhiCommand>();
  command->add_option("--model", train->files.model, "CLIP folder")->required();
  command
      ->add_option("--data", train->files.data, "Folder of pictures, or JSON lines with \"image\"")
      ->required();
  command->add_option("--output", train->files.output, "Folder of the run")->required();
  command->add_option("--eval-data", train->files.eval_data, "Held-out pictures");
  command->add_flag("--resume", train->files.resume, "Go on from the newest checkpoint, if any");
  CliOptionRegistry registry(*command);
  train->register_options(registry);
  command->callback([train, &context] { train->run(context); });
}

}  // namespace e5v
