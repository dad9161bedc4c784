#include <filesystem>
#include <memory>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/model/quantize_checkpoint.h"

namespace e5v {
namespace {

struct QuantizeCommand {
  std::filesystem::path model, output;
  Precision precision = Precision::kInt8;

  void run(const CommandContext& context) const {
    Progress progress("quantize", ProgressUnit::kBytes, context.quiet);
    quantize_checkpoint(model, output, precision, progress.callback());
    if (!context.json) return context.print(output.native());
    context.print_json({{"folder", output.native()}, {"precision", precision_name(precision)}});
  }
};

}  // namespace

void register_quantize(CLI::App& app, CommandContext& context) {
  CLI::App* command = add_command(
      app, context, "quantize", "Write a model with its weights rounded to 8 or 4 bits",
      "e5v quantize --model models/e5-v --precision int8 --output models/e5-v-int8\n"
      "e5v embed --model models/e5-v-int8 --input items.jsonl --output items.npy\n"
      "\n"
      "Loads faster and takes less room on disk than rounding on load (--precision int8 of the\n"
      "other commands), with the same result. int8 is the fastest; int4 and nf4 take half its\n"
      "memory. It is for embedding: training and merging need the original.");
  auto quantize = std::make_shared<QuantizeCommand>();
  command->add_option("--model", quantize->model, "Checkpoint folder")->required();
  command->add_option("--output", quantize->output, "Folder to make; must be new or empty")
      ->required();
  CliOptionRegistry registry(*command);
  registry.add("precision", quantize->precision,
               {{"int8", Precision::kInt8}, {"int4", Precision::kInt4}, {"nf4", Precision::kNf4}},
               "Of the weights");
  command->callback([quantize, &context] { quantize->run(context); });
}

}  // namespace e5v
