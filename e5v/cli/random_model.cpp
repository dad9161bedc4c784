#include "e5v/convert/random_model.h"

#include <filesystem>
#include <memory>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"

namespace e5v::detail {
namespace {

struct RandomModelCommand {
  RandomModelOptions options;
  std::filesystem::path output;

  void run(const CommandContext& context) const {
    Progress progress("random-model", ProgressUnit::kBytes, context.quiet);
    write_random_model(output, options, progress.callback());
    if (!context.json) return context.print(output.native());
    context.print_json({{"folder", output.native()},
                        {"preset", options.preset},
                        {"seed", options.seed},
                        {"dtype", dtype_name(options.dtype)}});
  }
};

}  // namespace

void register_random_model(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "random-model", "Write a model of a given shape with random weights",
      "e5v random-model --preset tiny --output models/tiny\n"
      "e5v random-model --preset 1b --seed 7 --output models/1b\n"
      "e5v random-model --preset e5v-8b --dtype fp16 --output models/e5v-8b\n"
      "e5v random-model --preset qwen3-vl-2b --output models/qwen3-vl-2b\n"
      "e5v random-model --preset shapes-mini-clip --texts words.txt --dtype fp32 --output clip\n"
      "\n"
      "Its embeddings mean nothing: it is there to test and to measure with. Sizes on disk in\n"
      "bf16: tiny 0.5 MB, 1b 3 GB, qwen3-vl-2b 4.3 GB, qwen3-vl-8b 16 GB, e5v-8b 17 GB.\n"
      "Transformers can load it, too.");
  auto random_model = std::make_shared<RandomModelCommand>();
  random_model->options.register_options(command);
  command.add_required("output", random_model->output, "Folder to make; must be new or empty");
  command.set_callback([random_model, &context] { random_model->run(context); });
}

}  // namespace e5v::detail
