#include <ATen/Parallel.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/convert/quantize_checkpoint.h"
#include "e5v/embed/item_source.h"
#include "e5v/model/packed_batch.h"

namespace e5v::detail {
namespace {

struct QuantizeCommand {
  std::filesystem::path model, output, calibration;
  int64_t calibration_tokens = 16384, threads = 0;
  Precision precision = Precision::kInt8;

  void run(const CommandContext& context) const;

 private:
  PackedBatch read_calibration(const CommandContext& context) const;
};

/// The first items of the file, as many as there may be.
PackedBatch QuantizeCommand::read_calibration(const CommandContext& context) const {
  const ItemPreparer preparer(model);
  const ItemInput items = open_items(calibration);
  std::vector<PreparedItem> prepared;
  int64_t num_tokens = 0;
  while (const std::optional<ReadItem> read = items.next()) {
    const std::string name = fmt::format("{}: item {}", calibration.native(), prepared.size() + 1);
    if (read->error) throw InputError(fmt::format("{}: {}", name, read->error->what()));
    PreparedItem item;
    try {
      item = preparer.prepare(read->item, {});
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", name, error.what()));
    }
    if (num_tokens + item.num_tokens() > calibration_tokens) break;
    num_tokens += item.num_tokens();
    prepared.push_back(std::move(item));
  }
  if (prepared.empty()) {
    throw ConfigError(fmt::format("{}: has no item of at most {} tokens (--calibration-tokens)",
                                  calibration.native(), calibration_tokens));
  }
  context.log().info("calibration: {} items, {} tokens", prepared.size(), num_tokens);
  return preparer.collate(prepared);
}

void QuantizeCommand::run(const CommandContext& context) const {
  if (threads < 0) throw ConfigError(fmt::format("'threads' is {}, expected 0 or more", threads));
  at::set_num_threads(static_cast<int>(threads_or_cores(threads)));
  std::optional<PackedBatch> batch;
  if (!calibration.empty()) batch = read_calibration(context);
  Progress progress("quantize", ProgressUnit::kBytes, context.quiet);
  quantize_checkpoint(model, output, precision, progress.callback(), batch ? &*batch : nullptr);
  if (!context.json) return context.print(output.native());
  context.print_json({{"folder", output.native()}, {"precision", precision_name(precision)}});
}

}  // namespace

void register_quantize(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "quantize", "Write a model with its weights rounded to 8 or 4 bits",
      "e5v quantize --model models/e5-v --precision int8 --output models/e5-v-int8\n"
      "e5v embed --model models/e5-v-int8 --input items.jsonl --output items.npy\n"
      "e5v quantize --model models/e5-v --precision int4 --calibration items.jsonl --output "
      "e5-v-int4\n"
      "\n"
      "Loads faster and takes less room on disk than rounding on load (--precision int8 of the\n"
      "other commands), with the same result. int8 is the fastest; int4 and nf4 take half its\n"
      "memory. It is for embedding: training and merging need the original.\n"
      "--calibration takes texts and pictures such as will be embedded, a few hundred: int4 then\n"
      "loses several times less, but takes minutes (1 B weights: 4, on two cores).");
  auto quantize = std::make_shared<QuantizeCommand>();
  command.add_required("model", quantize->model, "Checkpoint folder");
  command.add_required("output", quantize->output, "Folder to make; must be new or empty");
  register_precision(command, quantize->precision, quantized_precisions(), "Of the weights");
  command.add("calibration", quantize->calibration,
              "int4: items (as of embed --input) for whose states the weights are rounded");
  command.add("calibration-tokens", quantize->calibration_tokens, "Tokens of those at the most");
  command.add("threads", quantize->threads, "Threads; 0 = the usable cores");
  command.set_callback([quantize, &context] { quantize->run(context); });
}

}  // namespace e5v::detail
