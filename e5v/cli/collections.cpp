#include <memory>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/index/collection.h"
#include "e5v/index/export.h"
#include "e5v/index/postgres.h"

namespace e5v::detail {
namespace {

struct CollectionsCommand {
  std::string action;
  std::filesystem::path collection;
  std::string to;

  void run(const CommandContext& context) const;

 private:
  void info(const CommandContext& context) const;
  void verify(const CommandContext& context) const;
  void compact(const CommandContext& context) const;
  void export_items(const CommandContext& context) const;
};

std::string megabytes(uint64_t bytes) {
  if (bytes < 1'000'000) return fmt::format("{} kB", (bytes + 999) / 1000);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

std::string shown_index(const IndexOptions& options) {
  std::string shown = to_string(options.kind);
  if (options.kind == IndexKind::kHnswSq8) {
    shown += fmt::format(", M {}, efConstruction {}, efSearch {}", options.M,
                         options.efConstruction, options.efSearch);
  }
  if (options.kind == IndexKind::kIvfPq && options.nprobe > 0) {
    shown += fmt::format(", nprobe {}", options.nprobe);
  }
  return shown;
}

void CollectionsCommand::info(const CommandContext& context) const {
  Collection open(collection);
  const CollectionInfo info = open.info();
  const std::vector<SkippedFile> skipped = open.skipped_files();
  if (context.json) {
    Json files = Json::array();
    for (const SkippedFile& file : skipped) {
      files.push_back({{"path", file.path}, {"reason", file.reason}});
    }
    context.print_json({{"items", info.num_items},
                        {"dimensions", info.settings.dimensions},
                        {"index", to_string(info.settings.index.kind)},
                        {"index_parameters", info.settings.index.parameters()},
                        {"indexed", info.num_indexed},
                        {"unused", info.num_unused},
                        {"bytes", info.disk_bytes},
                        {"embedder", info.settings.embedder},
                        {"fingerprint", info.settings.fingerprint},
                        {"skipped", files}});
    return;
  }
  context.print(fmt::format("items       {}", info.num_items));
  context.print(fmt::format("vectors     {} dimensions, {} unused", info.settings.dimensions,
                            info.num_unused));
  context.print(fmt::format("index       {}{}", shown_index(info.settings.index),
                            info.num_indexed > 0
                                ? fmt::format(", {} vectors in it", info.num_indexed)
                                : ", every vector is compared"));
  context.print(fmt::format("disk        {}", megabytes(info.disk_bytes)));
  context.print(
      fmt::format("model       {}",
                  printable(field_or<std::string>(info.settings.embedder, "model", ""), 400)));
  context.print(fmt::format("skipped     {}", skipped.size()));
  for (const SkippedFile& file : skipped) {
    context.print(fmt::format("  {}: {}", printable(file.path, 400), file.reason));
  }
}

void CollectionsCommand::verify(const CommandContext& context) const {
  Collection open(collection);
  Progress progress("verify", ProgressUnit::kItems, context.quiet);
  const std::vector<std::string> problems = open.verify(progress.callback());
  if (context.json) {
    context.print_json({{"problems", problems}});
  } else {
    for (const std::string& problem : problems) context.print(problem);
    if (problems.empty()) {
      context.print(
          fmt::format("{}: {} items, all intact", collection.native(), open.info().num_items));
    }
  }
  if (!problems.empty()) {
    throw Error(fmt::format("{}: {} problems", collection.native(), problems.size()));
  }
}

void CollectionsCommand::compact(const CommandContext& context) const {
  Collection open(collection);
  const CollectionLock lock(collection);
  const uint64_t before = open.info().disk_bytes;
  {
    Progress progress("compact", ProgressUnit::kItems, context.quiet);
    open.compact(progress.callback());
  }
  const uint64_t after = open.info().disk_bytes;
  if (context.json) {
    context.print_json({{"bytes_before", before}, {"bytes", after}});
  } else {
    context.print(
        fmt::format("{}: {}, before {}", collection.native(), megabytes(after), megabytes(before)));
  }
}

void CollectionsCommand::export_items(const CommandContext& context) const {
  if (to.empty())
    throw ConfigError("--to is required: a path without extension, or postgresql://…");
  Collection open(collection);
  Progress progress("export", ProgressUnit::kItems, context.quiet);
  const int64_t num_items = is_postgres_uri(to) ? export_to_postgres(open, to, progress.callback())
                                                : export_collection(open, to, progress.callback());
  if (context.json) {
    context.print_json({{"to", shown_target(to)}, {"items", num_items}});
  } else {
    context.print(fmt::format("{}: {} items", shown_target(to), num_items));
  }
}

void CollectionsCommand::run(const CommandContext& context) const {
  if (action == "info") return info(context);
  if (action == "verify") return verify(context);
  if (action == "compact") return compact(context);
  export_items(context);
}

}  // namespace

void register_collections(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "collections", "Look after a collection: info, verify, compact, export",
      "e5v collections info pictures\n"
      "e5v collections verify pictures\n"
      "e5v collections compact pictures\n"
      "e5v collections export pictures --to vectors      (vectors.npy and vectors.jsonl)\n"
      "e5v collections export pictures --to postgresql://me@host/database\n"
      "\n"
      "verify checks everything against everything; compact gives back the space of what was\n"
      "removed; export writes the vectors as float32 [N, D] and a line of JSON for each, or\n"
      "copies all into a PostgreSQL with pgvector.");
  auto collections = std::make_shared<CollectionsCommand>();
  command.add_argument("action", collections->action, {"info", "verify", "compact", "export"},
                       "info, verify, compact or export");
  command.require_argument("action");
  command.add_argument("collection", collections->collection, "Folder of the collection");
  command.require_argument("collection");
  command.add("to", collections->to, "Where to export to");
  command.set_callback([collections, &context] { collections->run(context); });
}

}  // namespace e5v::detail
