#include <filesystem>
#include <memory>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/shapes/write_shapes.h"

namespace e5v::detail {
namespace {

struct ShapesCommand {
  ShapesOptions options;
  std::filesystem::path output;

  void run(const CommandContext& context) const {
    {
      Progress progress("shapes", ProgressUnit::kItems, context.quiet);
      write_shapes(output, options, progress.callback());
    }
    if (!context.json) return context.print(output.native());
    context.print_json({{"folder", output.native()},
                        {"split", scene_split_name(options.split)},
                        {"scenes", options.scenes},
                        {"seed", options.seed},
                        {"parts", options.parts}});
  }
};

}  // namespace

void register_shapes(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "shapes", "Draw a small world of coloured shapes, with captions and questions",
      "e5v shapes --output shapes/test\n"
      "e5v shapes --split train --scenes 20000 --parts rand --parts triplets --output "
      "shapes/train\n"
      "\n"
      "Everything is known about these pictures, so that they can show what a model understands.\n"
      "Parts: rand (pictures and captions), hard (groups of four captions of the same words),\n"
      "composed (a picture and an instruction find another picture), text (captions drawn as\n"
      "pictures), triplets (for e5v train), questions, and, where asked for, conversations (to\n"
      "pretrain a model on).");
  auto shapes = std::make_shared<ShapesCommand>();
  shapes->options.register_options(command);
  command.add_required("output", shapes->output, "Folder to make; must be new or empty");
  command.set_callback([shapes, &context] { shapes->run(context); });
}

}  // namespace e5v::detail
