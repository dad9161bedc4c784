#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/index/collection.h"
#include "e5v/index/update.h"
#include "e5v/search/collection_embedder.h"

namespace e5v::detail {
namespace {

constexpr size_t kShownSkipped = 20;

struct IndexCommand {
  EmbedderFlags embedder;
  std::vector<std::string> roots;
  std::filesystem::path collection;
  std::filesystem::path captions;
  std::vector<std::string> excludes;
  std::string kind = "auto";
  /// Where they are not given: as the collection has them.
  std::optional<int64_t> hnsw_m, hnsw_ef_construction, hnsw_ef_search, ivf_nprobe;
  int64_t jobs = 0;
  bool watch = false;
  int64_t watch_s = 10;

  void run(const CommandContext& context) const;

 private:
  IndexOptions index_options(IndexOptions current) const;
  void update(Collection& open, const UpdateOptions& updating, const EmbedPictures& embed,
              bool is_first, const CommandContext& context) const;
  void report(const UpdateReport& report, int64_t num_items, const CommandContext& context) const;
};

void IndexCommand::report(const UpdateReport& report, int64_t num_items,
                          const CommandContext& context) const {
  for (const auto& folder : report.unread) {
    context.log().warn("{}: cannot be listed; what is known of it stays", folder.native());
  }
  for (size_t i = 0; i < std::min(report.skipped.size(), kShownSkipped); ++i) {
    context.log().warn("skipped {}: {}", printable(report.skipped[i].path, 400),
                       report.skipped[i].reason);
  }
  if (report.skipped.size() > kShownSkipped) {
    context.log().warn("and {} more; e5v collections info {} lists them",
                       report.skipped.size() - kShownSkipped, collection.native());
  }
  if (context.json) {
    Json skipped = Json::array();
    for (const SkippedFile& file : report.skipped) {
      skipped.push_back({{"path", file.path}, {"reason", file.reason}});
    }
    context.print_json({{"collection", collection.native()},
                        {"items", num_items},
                        {"embedded", report.embedded},
                        {"unchanged", report.unchanged},
                        {"moved", report.moved},
                        {"copied", report.copied},
                        {"removed", report.removed},
                        {"skipped", skipped}});
    return;
  }
  context.print(fmt::format(
      "{}: {} pictures ({} embedded, {} unchanged, {} moved, {} copies, {} removed, {} skipped)",
      collection.native(), num_items, report.embedded, report.unchanged, report.moved,
      report.copied, report.removed, report.skipped.size()));
}

void IndexCommand::update(Collection& open, const UpdateOptions& updating,
                          const EmbedPictures& embed, bool is_first,
                          const CommandContext& context) const {
  const CollectionLock lock(open.folder());
  UpdateReport result;
  {
    Progress progress("index", ProgressUnit::kItems, context.quiet);
    UpdateOptions options = updating;
    options.on_progress = [&](uint64_t done, uint64_t total) {
      progress.start_from(done);
      progress.update(done, total);
    };
    result = update_collection(open, options, embed);
  }
  {
    Progress progress("build index", ProgressUnit::kItems, context.quiet);
    open.update_index(progress.callback());
  }
  if (is_first || result.changed()) report(result, open.info().num_items, context);
}

/// `current` with what the command line says.
IndexOptions IndexCommand::index_options(IndexOptions current) const {
  const IndexKind wanted = find_index_kind(kind);
  if (wanted != IndexKind::kAuto) current.kind = wanted;
  const auto set = [&](const char* flag, const std::optional<int64_t>& value, IndexKind user,
                       int64_t& parameter) {
    if (!value) return;
    if (current.kind != IndexKind::kAuto && current.kind != user) {
      throw ConfigError(fmt::format("--{} is for the index {}, this one is {}", flag,
                                    to_string(user), to_string(current.kind)));
    }
    parameter = *value;
  };
  set("hnsw-m", hnsw_m, IndexKind::kHnswSq8, current.M);
  set("hnsw-ef-construction", hnsw_ef_construction, IndexKind::kHnswSq8, current.efConstruction);
  set("hnsw-ef-search", hnsw_ef_search, IndexKind::kHnswSq8, current.efSearch);
  set("ivf-nprobe", ivf_nprobe, IndexKind::kIvfPq, current.nprobe);
  current.validate();
  return current;
}

void IndexCommand::run(const CommandContext& context) const {
  const IndexOptions of_new = index_options({});
  if (jobs < 0) throw ConfigError(fmt::format("'jobs' is {}, expected 0 or more", jobs));
  if (watch_s < 1)
    throw ConfigError(fmt::format("'watch-every' is {}, expected 1 or more", watch_s));
  UpdateOptions updating{.excludes = excludes, .jobs = jobs};
  for (const std::string& root : roots) updating.roots.emplace_back(root);
  for (const auto& root : updating.roots) {
    if (!std::filesystem::exists(root))
      throw FileError(root.native(), "cannot open", "no such file");
  }
  if (!captions.empty()) updating.captions = read_captions(captions);

  EmbedderFlags flags = embedder;
  const bool is_new = !std::filesystem::exists(collection / "collection.db");
  if (is_new) {
    flags.choose_model();
    flags.options.validate();
    const CollectionLock lock(collection);
    Collection::create(collection, collection_settings(flags.options, of_new));
  }
  Collection open(collection);
  if (!is_new) {
    flags.options = with_collection(flags.options, open.settings());
    require_same_vectors(flags.options, open.settings(), collection.native());
    const IndexOptions current = open.info().settings.index;
    if (const IndexOptions chosen = index_options(current); chosen != current) {
      open.choose_index(chosen);
    }
  }
  updating.decode = flags.options.prepare.decode;

  std::optional<Embedder> loaded;
  const EmbedPictures embed = picture_embedder([&]() -> const Embedder& {
    if (!loaded) loaded.emplace(flags.load(context));
    return *loaded;
  });
  update(open, updating, embed, /*is_first=*/true, context);
  while (watch) {
    std::this_thread::sleep_for(std::chrono::seconds(watch_s));
    update(open, updating, embed, /*is_first=*/false, context);
  }
}

}  // namespace

void register_index(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "index", "Make pictures searchable: embed those that are new or changed",
      "e5v index ~/Pictures --collection pictures --model DIR\n"
      "e5v index ~/Pictures --collection pictures            (again: only what has changed)\n"
      "e5v index a.jpg b.png trips/ --collection c --exclude thumbs --exclude '*.gif'\n"
      "e5v index ~/Pictures --collection pictures --watch\n"
      "\n"
      "Deleted files leave, moved ones are recognised by their content. A run that was killed\n"
      "goes on where it was. Captions: lines {\"image\", \"caption\", …} (.jsonl; other fields can "
      "be\n"
      "filtered by as meta.NAME), or path, tab, caption.");
  auto index = std::make_shared<IndexCommand>();
  command.add_argument("pictures", index->roots, "Pictures and folders of pictures");
  command.require_argument("pictures");
  command.add("collection", index->collection, "Folder of the collection; made if it is not there");
  command.require("collection");
  command.add("captions", index->captions, "File with captions and other facts about the pictures");
  command.add("exclude", index->excludes,
              "Names, or paths below a folder, to pass over (*, ? and [] are patterns)");
  command.add("kind", index->kind,
              "auto, flat (exact), hnsw-sq8 (fast, approximate) or ivfpq (small, approximate)");
  command.add("hnsw-m", index->hnsw_m, "Links of a vector in the graph: Faiss's M; 32");
  command.add("hnsw-ef-construction", index->hnsw_ef_construction,
              "Candidates for links: efConstruction; 200");
  command.add("hnsw-ef-search", index->hnsw_ef_search,
              "Candidates that a search keeps: efSearch; 256");
  command.add("ivf-nprobe", index->ivf_nprobe,
              "Clusters that a search looks into: nprobe; 0 = a twentieth");
  command.add("jobs", index->jobs, "Threads that read and decode pictures; 0 = the usable cores");
  command.add("watch", index->watch, "Go on, looking for changes until stopped");
  command.add("watch-every", index->watch_s, "Seconds between two looks");
  index->embedder.register_options(command);
  command.set_callback([index, &context] { index->run(context); });
}

}  // namespace e5v::detail
