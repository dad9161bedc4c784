#include "e5v/convert/import_gguf.h"

#include <filesystem>
#include <memory>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"

namespace e5v::detail {
namespace {

struct ImportGgufCommand {
  GgufImport source;
  std::filesystem::path output;
  std::string dtype = "auto";

  void run(const CommandContext& context) const {
    GgufImport import = source;
    if (dtype == "bf16") import.dtype = DType::BF16;
    if (dtype == "fp16") import.dtype = DType::F16;
    if (dtype == "fp32") import.dtype = DType::F32;
    Progress progress("import", ProgressUnit::kBytes, context.quiet);
    const DType written = import_gguf(import, output, progress.callback());
    if (!context.json) return context.print(output.native());
    context.print_json({{"folder", output.native()}, {"dtype", dtype_name(written)}});
  }
};

}  // namespace

void register_import_gguf(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "import-gguf", "Make a model folder of llama.cpp's pair of files",
      "e5v import-gguf --gguf llava-Q4_K_M.gguf --mmproj mmproj-model-f16.gguf --config DIR \\\n"
      "    --output models/llava\n"
      "\n"
      "DIR has the model's config.json, tokenizer.json and preprocessor_config.json, as its\n"
      "original on the hub. Reads F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K; the language model\n"
      "is of the architecture llama.");
  auto import = std::make_shared<ImportGgufCommand>();
  command.add_required("gguf", import->source.model, "The language model");
  command.add_required("mmproj", import->source.mmproj, "The vision tower and projector");
  command.add_required("config", import->source.config, "Folder with the model's configuration");
  command.add_required("output", import->output, "Folder to make; must be new or empty");
  command.add("dtype", import->dtype, {"auto", "bf16", "fp16", "fp32"},
              "Of the weights: auto (bf16 where the file has bf16, else fp16), bf16, fp16, fp32");
  command.set_callback([import, &context] { import->run(context); });
}

}  // namespace e5v::detail
