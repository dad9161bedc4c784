#include <memory>
#include <optional>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/embed/embedding_file.h"
#include "e5v/embed/item_source.h"

namespace e5v::detail {
namespace {

enum class OnError { kStop, kSkip };

struct EmbedCommand {
  EmbedderFlags embedder;
  std::filesystem::path input;
  std::filesystem::path output = "-";
  Encoding encoding = Encoding::kFloat32;
  bool resume = false;
  OnError on_error = OnError::kStop;

  void run(const CommandContext& context) const;

 private:
  void validate() const;
  Json fingerprint() const;
};

void EmbedCommand::validate() const {
  if (input.empty()) throw ConfigError("--input is required");
  if (output != "-") EmbeddingFileOptions{.path = output, .fingerprint = {}}.validate();
  if (resume && (input == "-" || output == "-")) {
    throw ConfigError("--resume needs an --input and an --output that are files");
  }
}

/// Reads the items that an earlier run finished; they must be the same ones.
void pass_over(const ItemInput& items, const std::vector<std::string>& done_ids) {
  for (size_t i = 0; i < done_ids.size(); ++i) {
    const auto read = items.next();
    const std::string id = read ? read->item.id : "";
    if (id != done_ids[i]) {
      throw ConfigError(fmt::format("cannot resume: item {} was '{}', now '{}'", i + 1,
                                    printable(done_ids[i]), printable(id)));
    }
  }
}

/// What changes the vectors or their order beside the EmbeddingSpec.
Json EmbedCommand::fingerprint() const {
  const PrepareOptions& prepare = embedder.options.prepare;
  return {{"input", std::filesystem::absolute(input).native()},
          {"encoding", npy_type_name(encoding_type(encoding))},
          {"allow_special", prepare.allow_special},
          {"truncate", prepare.truncate}};
}

void EmbedCommand::run(const CommandContext& context) const {
  validate();
  ItemInput items = open_items(input);
  const Embedder loaded = embedder.load(context);
  std::optional<EmbeddingFile> file;
  if (output != "-") {
    file.emplace(EmbeddingFileOptions{.path = output,
                                      .encoding = encoding,
                                      .dimensions = loaded.dimensions(),
                                      .fingerprint = fingerprint(),
                                      .spec = EmbeddingSpec::of(loaded.options()),
                                      .resume = resume});
  }
  const std::vector<std::string> done_ids = file ? file->done_ids() : std::vector<std::string>();
  pass_over(items, done_ids);
  const uint64_t already_done = done_ids.size();
  if (already_done > 0) context.log().info("{} items were done before", already_done);

  Progress progress("embed", ProgressUnit::kItems, context.quiet);
  uint64_t num_embedded = 0;
  std::vector<std::string> skipped;
  const auto on_vector = [&](uint64_t index, const Item& item, std::span<const float> vector) {
    if (file) {
      file->add(item.id, vector);
    } else {
      context.print(EmbeddingFile::json_line(item.id, vector, encoding));
    }
    ++num_embedded;
    progress.update(already_done + index + 1, items.count);
  };
  Embedder::ErrorSink on_item_error;
  if (on_error == OnError::kSkip) {
    on_item_error = [&](uint64_t index, const Item& item, const Error& error) {
      if (file) file->skip(item.id, error.what());
      skipped.push_back(fmt::format("'{}': {}", printable(item.id), error.what()));
      progress.update(already_done + index + 1, items.count);
    };
  }
  try {
    loaded.embed_stream(items.next, on_vector, on_item_error);
  } catch (const Error& error) {
    if (!file || file->done_ids().empty()) throw;
    throw Error(fmt::format("{}; {} items are done: mend it and run again with --resume",
                            error.what(), file->done_ids().size()));
  }

  const uint64_t num_skipped = file ? file->num_skipped() : skipped.size();
  if (file) file->commit();
  for (const std::string& line : skipped) context.log().warn("skipped {}", line);
  if (!file) return;
  if (context.json) {
    context.print_json({{"output", output.native()},
                        {"embedded", already_done + num_embedded - (num_skipped - skipped.size())},
                        {"skipped", num_skipped},
                        {"dimensions", loaded.dimensions()},
                        {"precision", loaded.precision()}});
  } else {
    context.log().info("{}: {} vectors of {} dimensions, {} items skipped", output.native(),
                       already_done + num_embedded - (num_skipped - skipped.size()),
                       loaded.dimensions(), num_skipped);
  }
}

}  // namespace

void register_embed(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "embed", "Embed texts, images, and images with texts",
      "e5v embed --model DIR --input items.jsonl --output vectors.npy\n"
      "e5v embed --model DIR --input photos/ --output photos.npy --on-error skip\n"
      "echo 'a dog on grass' | e5v embed --model DIR --input -\n"
      "e5v embed --model DIR --input items.jsonl --output v.npy --encoding int8 --resume\n"
      "\n"
      "An item is a line {\"id\", \"text\", \"image\", \"images\", \"task\", \"prompt\"}, all\n"
      "optional; paths are relative to the file. With .npy the ids stand in .ids.txt.");
  auto embed = std::make_shared<EmbedCommand>();
  command.add("input", embed->input, "JSONL file, folder of images, or - for lines of text");
  command.add("output", embed->output, "File ending in .npy or .jsonl, or - for JSONL on stdout");
  command.add("encoding", embed->encoding,
              {{"float32", Encoding::kFloat32},
               {"float16", Encoding::kFloat16},
               {"int8", Encoding::kInt8},
               {"binary", Encoding::kBinary}},
              "Of the vectors");
  command.add("resume", embed->resume, "Go on where a run with the same options broke off");
  command.add("on-error", embed->on_error, {{"stop", OnError::kStop}, {"skip", OnError::kSkip}},
              "What to do with items that cannot be embedded");
  embed->embedder.register_options(command);
  command.set_callback([embed, &context] {
    embed->embedder.choose_model();
    embed->run(context);
  });
}

}  // namespace e5v::detail
