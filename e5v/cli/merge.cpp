#include <ATen/Parallel.h>

#include <filesystem>
#include <memory>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/commands.h"
#include "e5v/convert/join_vision_tower.h"
#include "e5v/convert/merge_adapter.h"

namespace e5v::detail {
namespace {

struct MergeCommand {
  MergeFiles files;
  std::filesystem::path vision_tower;
  bool check = true;

  void join(const CommandContext& context) const {
    {
      Progress progress("merge", ProgressUnit::kBytes, context.quiet);
      join_vision_tower(files.model, vision_tower, files.output, progress.callback());
    }
    if (context.json) return context.print_json({{"folder", files.output.native()}});
    context.print(files.output.native());
  }

  void run(const CommandContext& context) const {
    if (vision_tower.empty() == files.adapter.empty()) {
      throw ConfigError("expected either --adapter or --vision-tower");
    }
    if (!vision_tower.empty()) return join(context);
    at::set_num_threads(usable_cores());
    double cosine = 0;
    {
      Progress progress("merge", ProgressUnit::kBytes, context.quiet);
      merge_adapter(files, progress.callback());
    }
    if (check) cosine = check_merge(files);
    if (context.json) {
      Json result = {{"folder", files.output.native()}};
      if (check) result["lowest_cosine"] = cosine;
      return context.print_json(result);
    }
    context.print(files.output.native());
    if (check) {
      context.log().info("merged and unmerged embeddings agree: lowest cosine {:.7f}", cosine);
    }
  }
};

}  // namespace

void register_merge(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "merge",
      "Merge a LoRA adapter, or a CLIP's vision tower, into a full checkpoint",
      "e5v merge --model models/llama3-llava-next-8b --adapter run --output models/e5v\n"
      "e5v merge --model language/model --vision-tower clip/model --output joined");
  auto merge = std::make_shared<MergeCommand>();
  command.add_required("model", merge->files.model, "Checkpoint folder");
  command.add("adapter", merge->files.adapter, "PEFT adapter folder");
  command.add("vision-tower", merge->vision_tower,
              "CLIP folder whose vision tower replaces the model's, or LLaVA "
              "folder whose tower and projector do");
  command.add_required("output", merge->files.output, "Folder to make; must be new or empty");
  command.add("check", merge->check, "Compare embeddings with those before merging");
  command.set_callback([merge, &context] { merge->run(context); });
}

}  // namespace e5v::detail
