#include "e5v/hub/pull.h"

#include <memory>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"

namespace e5v::detail {
namespace {

struct PullCommand {
  PullOptions options;
  std::string endpoint;

  void run(const CommandContext& context) const {
    HubAccess access = HubAccess::from_environment();
    if (!endpoint.empty()) access.endpoint = endpoint;
    Progress progress("pull", ProgressUnit::kBytes, context.quiet);
    const PullResult result = pull(options, access, context.log(), progress.callback());
    if (!context.json) return context.print(result.folder.native());
    context.print_json({{"folder", result.folder.native()},
                        {"commit", result.commit},
                        {"files", result.paths},
                        {"downloaded", result.num_downloaded},
                        {"downloaded_bytes", result.downloaded_bytes}});
  }
};

}  // namespace

void register_pull(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "pull", "Download a model from a Hugging Face-style hub",
      "e5v pull royokong/e5-v\n"
      "e5v pull royokong/e5-v --output models/e5-v --revision main\n"
      "e5v embed --model $(e5v pull royokong/e5-v) --input items.jsonl --output out.npy\n"
      "e5v pull OWNER/NAME --include '*.json' --exclude 'onnx/*'\n"
      "\n"
      "Prints the folder that holds the files. A download that broke off is continued;\n"
      "a second run downloads nothing. HF_TOKEN, HF_HOME and HF_ENDPOINT are honoured.");
  auto pull = std::make_shared<PullCommand>();
  PullOptions& options = pull->options;
  command.add_argument("repository", options.repository, "OWNER/NAME");
  command.require_argument("repository");
  command.add("revision", options.revision, "Branch, tag or commit");
  command.add("output", options.output,
              "Folder to write to; without it the cache that transformers uses too (HF_HOME)");
  command.add("endpoint", pull->endpoint,
              "Address of the hub [HF_ENDPOINT, else https://huggingface.co]");
  command.add("include", options.include,
              "Patterns of the files wanted, instead of those that e5v can use");
  command.add("exclude", options.exclude, "Patterns of the files not wanted");
  command.set_callback([pull, &context] { pull->run(context); });
}

}  // namespace e5v::detail
