#include <algorithm>
#include <array>
#include <unordered_map>

#include "e5v/base/error.h"
#include "e5v/eval/composed_retrieval.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

constexpr std::array kCategories = {"dress", "shirt", "toptee"};

fs::path find_file(const fs::path& folder, const std::string& kind, const std::string& name) {
  const std::vector<std::string> names = {kind + "/" + name, name};
  return find_data_file(folder, names, "FashionIQ's " + kind);
}

/// Captions as the published code has them: without `.`, `?`, `,` and spaces at both ends.
std::string stripped(const std::string& caption) {
  constexpr const char* kStripped = ".?, ";
  const size_t begin = caption.find_first_not_of(kStripped);
  if (begin == std::string::npos) return "";
  return caption.substr(begin, caption.find_last_not_of(kStripped) + 1 - begin);
}

}  // namespace

ComposedSet load_fashioniq(const ComposedData& data, const std::string& category) {
  const fs::path captions =
      find_file(data.path, "captions", fmt::format("cap.{}.{}.json", category, data.split));
  const fs::path split =
      find_file(data.path, "image_splits", fmt::format("split.{}.{}.json", category, data.split));
  const fs::path base = split.parent_path().parent_path();
  const std::vector<fs::path> roots =
      data.images.empty()
          ? std::vector<fs::path>{base / "images", base / "images" / category, base / category}
          : std::vector<fs::path>{data.images, data.images / category};
  ComposedSet set;
  set.source = captions.string();
  std::unordered_map<std::string, int64_t> index_of, reference_of;
  const auto picture = [&](const std::string& id) {
    fs::path path =
        find_picture(roots, std::vector<std::string>{id + ".png", id + ".jpg", id + ".jpeg"});
    if (path.empty()) path = roots.front() / (id + ".png");
    return EvalImage{.id = id, .path = std::move(path), .drawn_text = {}};
  };
  try {
    const auto ids = json_as<std::vector<std::string>>(read_json(split), "pictures");
    check_unique(ids, split.native());
    for (const std::string& id : ids) {
      index_of.emplace(id, static_cast<int64_t>(set.gallery.size()));
      set.gallery.push_back(picture(id));
    }
    for (const Json& json : read_json(captions)) {
      ComposedItem item;
      item.id = fmt::format("{} {}", category, set.queries.size() + 1);
      const auto reference = require_field<std::string>(json, "candidate");
      const auto found = reference_of.try_emplace(reference, set.references.size());
      item.reference = found.first->second;
      if (found.second) {
        const auto in_gallery = index_of.find(reference);
        const bool is_there = in_gallery != index_of.end();
        set.reference_in_gallery.push_back(is_there ? in_gallery->second : -1);
        set.references.push_back(is_there ? set.gallery[static_cast<size_t>(in_gallery->second)]
                                          : picture(reference));
      }
      for (const auto& caption : require_field<std::vector<std::string>>(json, "captions")) {
        item.captions.push_back(stripped(caption));
      }
      if (item.captions.size() != 2) {
        throw FormatError(captions.native(), fmt::format("query {} has {} captions, expected 2",
                                                         item.id, item.captions.size()));
      }
      if (const auto target = find_field<std::string>(json, "target")) {
        const auto in_gallery = index_of.find(*target);
        if (in_gallery == index_of.end()) {
          throw FormatError(captions.native(),
                            fmt::format("query {} has the target '{}', which is not in {}", item.id,
                                        printable(*target), split.filename().native()));
        }
        item.targets = {in_gallery->second};
      }
      set.queries.push_back(std::move(item));
    }
  } catch (const ConfigError& error) {
    throw FormatError(captions.native(), error.what());
  }
  return set;
}

TaskReport evaluate_fashioniq(System& system, const ComposedData& data, ComposedOptions options) {
  TaskReport report;
  report.task = "fashioniq";
  report.system = system.describe();
  options.ranking.top_k = 50;
  // All files are read before anything is embedded, so that a broken one is not found hours later.
  std::vector<ComposedSet> sets;
  for (const char* category : kCategories) sets.push_back(load_fashioniq(data, category));
  constexpr std::array<int64_t, 2> kRecallsAt = {10, 50};
  std::array<double, 2> sums{};
  Json counts = Json::object();
  for (size_t c = 0; c < kCategories.size(); ++c) {
    const std::string category = kCategories[c];
    options.task = "fashioniq-" + category;
    const ComposedRanking ranking = rank_composed(system, std::move(sets[c]), options, report);
    for (const ComposedItem& item : ranking.set.queries) {
      if (item.targets.empty()) {
        throw InputError(fmt::format("{}: query {} has no target; split '{}' cannot be scored",
                                     ranking.set.source, item.id, data.split));
      }
    }
    std::vector<int64_t> ranks;
    for (const RankedQuery& query : ranking.ranked) ranks.push_back(query.best_rank);
    report.add_recalls(fmt::format("fashioniq_{}_recall", category), ranks,
                       {kRecallsAt[0], kRecallsAt[1]});
    for (size_t k = 0; k < kRecallsAt.size(); ++k) {
      sums[k] += 100 * recall_at_k(ranks, kRecallsAt[k]);
    }
    counts[category] = {{"gallery", ranking.set.gallery.size()},
                        {"queries", ranking.set.queries.size()}};
    add_composed_examples(ranking, ", " + category, options, report);
  }
  system.finish();
  for (size_t k = 0; k < kRecallsAt.size(); ++k) {
    report.metrics.push_back({fmt::format("fashioniq_mean_recall@{}", kRecallsAt[k]),
                              sums[k] / static_cast<double>(kCategories.size()), std::nullopt});
  }
  report.data = {{"source", data.path.string()}, {"split", data.split}, {"categories", counts}};
  return report;
}

}  // namespace e5v
