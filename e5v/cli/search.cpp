#include <memory>

#include "e5v/base/file.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/index/collection.h"
#include "e5v/index/export.h"  // item_json
#include "e5v/index/report.h"
#include "e5v/search/collection_embedder.h"
#include "e5v/search/query.h"

namespace e5v::detail {
namespace {

struct SearchCommand {
  EmbedderFlags embedder;
  std::string collection;
  std::string text;
  std::filesystem::path image;
  int64_t item = 0;  // 0: none
  std::vector<std::string> plus;
  std::vector<std::string> minus;
  double weight = 1;
  int64_t k = 10;
  double min_score = -1;
  std::string where;
  bool paths_only = false;
  std::filesystem::path html;

  void run(const CommandContext& context) const;

 private:
  QueryItem query_item(SearchTarget& target) const;
  std::string shown_query() const;
};

/// The words of the query, as a headline.
std::string SearchCommand::shown_query() const {
  std::string shown = text;
  if (!image.empty()) {
    shown = image.filename().native() + (text.empty() ? "" : " + “" + text + "”");
  }
  if (item != 0) shown = fmt::format("item {}", item) + (text.empty() ? "" : " + “" + text + "”");
  for (const std::string& more : plus) shown += " + " + more;
  for (const std::string& less : minus) shown += " − " + less;
  return shown;
}

QueryItem SearchCommand::query_item(SearchTarget& target) const {
  QueryItem query{.plus = plus, .minus = minus, .weight = weight};
  if (!text.empty()) query.text = text;
  if (!image.empty()) query.image = image;
  if (item == 0) return query;
  auto* collection = dynamic_cast<Collection*>(&target);
  if (collection == nullptr) {
    throw ConfigError("--item is for the folder of a collection, not for PostgreSQL");
  }
  search_by_item(query, item, *collection);
  return query;
}

void SearchCommand::run(const CommandContext& context) const {
  if (text.empty() && image.empty() && item == 0) {
    throw ConfigError("nothing to search for: give a text, --image, or both; or --item");
  }
  if (item < 0) throw ConfigError(fmt::format("'item' is {}, expected the id of a result", item));
  if (k < 1) throw ConfigError(fmt::format("'k' is {}, expected 1 or more", k));
  if (!image.empty() && !std::filesystem::exists(image)) {
    throw FileError(image.native(), "cannot open", "no such file");
  }
  const std::unique_ptr<SearchTarget> target = open_search_target(collection);
  EmbedderFlags flags = embedder;
  flags.options = with_collection(flags.options, target->settings());
  require_comparable(flags.options, target->settings(), shown_target(collection));
  SearchQuery query{.k = k, .min_score = min_score, .where = where};
  target->check_filter(where);  // before the model is loaded, which takes longer
  const QueryItem asked = query_item(*target);
  const std::vector<Item> items = query_items(asked, flags.options.prepare);
  // An item's own vector takes no model.
  query.vector = combine_query(
      asked, items.empty() ? std::vector<std::vector<float>>() : flags.load(context).embed(items));
  const std::vector<SearchHit> hits = target->search(query);

  if (!html.empty()) {
    write_file(html, search_report_html(shown_query(), hits));
    context.log().info("{}: {} results", html.native(), hits.size());
  } else if (context.json) {
    Json results = Json::array();
    for (const SearchHit& hit : hits) {
      Json result = item_json(hit.item);
      result["score"] = hit.score;
      results.push_back(std::move(result));
    }
    context.print_json({{"query", shown_query()}, {"results", results}});
  } else {
    for (const SearchHit& hit : hits) {
      const std::string name = printable(hit.item.path, 4096);
      if (paths_only) {
        context.print(hit.item.path);
      } else if (hit.item.caption.empty()) {
        context.print(fmt::format("{:6.3f}  {}", hit.score, name));
      } else {
        context.print(fmt::format("{:6.3f}  {}  {}", hit.score, name, printable(hit.item.caption)));
      }
    }
    if (hits.empty()) context.log().info("nothing was found");
  }
}

}  // namespace

void register_search(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "search",
      "Find pictures by words, by a picture, or by a picture changed by words",
      "e5v search --collection pictures 'a dog on grass'\n"
      "e5v search --collection pictures --image q.jpg\n"
      "e5v search --collection pictures --image q.jpg 'at night, with snow'\n"
      "e5v search --collection pictures --item 12            (like a result; its id is in --json)\n"
      "e5v search --collection pictures 'a beach' --minus people --weight 2 -k 20\n"
      "e5v search --collection pictures 'a cat' --where \"path LIKE '/home/%' AND meta.year >= "
      "2020\"\n"
      "e5v search --collection pictures 'a cat' --html cats.html\n"
      "\n"
      "The collection names its model; --model chooses another copy of it. A score is a cosine;\n"
      "equal scores are in the order of indexing. --where: see docs/search.md.");
  auto search = std::make_shared<SearchCommand>();
  command.add_argument("text", search->text,
                       "What the picture shows, or how it differs from --image");
  command.add("collection", search->collection,
              "Folder of the collection, or postgresql://… of an exported one");
  command.require("collection");
  command.add("image", search->image, "A picture to search by");
  command.add("item", search->item, "Id of a result to search by, as by its picture; 0 = none");
  command.add("plus", search->plus, "A text that results should be more like");
  command.add("minus", search->minus, "A text that results should be less like");
  command.add("weight", search->weight,
              "Of text and picture, against 1 for each --plus and --minus");
  command.add("-k,--results", search->k, "Results at the most");
  command.add("min-score", search->min_score, "Leave out results below this cosine");
  command.add("where", search->where, "Only items of which this is true");
  command.add("paths-only", search->paths_only, "Print paths, one a line");
  command.add("html", search->html, "Write a page with the pictures instead");
  search->embedder.register_options(command);
  command.set_callback([search, &context] { search->run(context); });
}

}  // namespace e5v::detail
