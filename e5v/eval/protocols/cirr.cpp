#include <algorithm>
#include <unordered_map>

#include "e5v/base/error.h"
#include "e5v/eval/composed_retrieval.h"
#include "e5v/eval/ordered_json.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

fs::path find_file(const fs::path& folder, const std::string& kind, const std::string& name) {
  const std::vector<std::string> names = {kind + "/" + name, "cirr/" + kind + "/" + name, name};
  return find_data_file(folder, names, "CIRR's " + kind);
}

std::vector<int64_t> recall_ranks(const std::vector<RankedQuery>& ranked, bool in_subset) {
  std::vector<int64_t> ranks;
  for (const RankedQuery& query : ranked) {
    ranks.push_back(in_subset ? query.best_subset_rank : query.best_rank);
  }
  return ranks;
}

/// What the CIRR server takes: ids of pairs to names of pictures, best first.
std::string submission(const ComposedRanking& ranking, const char* metric, bool subset) {
  constexpr size_t kTop = 50, kSubsetTop = 3;
  Json json = {{"version", "rc2"}, {"metric", metric}};
  for (size_t q = 0; q < ranking.ranked.size(); ++q) {
    const std::vector<int64_t>& found = subset ? ranking.ranked[q].subset : ranking.ranked[q].top;
    Json names = Json::array();
    for (size_t i = 0; i < std::min(subset ? kSubsetTop : kTop, found.size()); ++i) {
      names.push_back(ranking.set.gallery[static_cast<size_t>(found[i])].id);
    }
    json[ranking.set.queries[q].id] = std::move(names);
  }
  return json.dump() + "\n";
}

/// CIRR v1 (rc2). Throws FileError, FormatError (ids twice, ids that are not in the split).
ComposedSet load_cirr(const DataOptions& data) {
  const fs::path captions =
      find_file(data.data, "captions", fmt::format("cap.rc2.{}.json", data.split));
  const fs::path split =
      find_file(data.data, "image_splits", fmt::format("split.rc2.{}.json", data.split));
  const fs::path base = split.parent_path().parent_path();
  PictureFinder finder(
      data.images.empty()
          ? std::vector<fs::path>{base, base / "img_raw", base / "images", base.parent_path()}
          : std::vector<fs::path>{data.images});
  ComposedSet set;
  set.source = captions.string();
  std::unordered_map<std::string, int64_t> index_of;
  const nlohmann::ordered_json pictures = read_ordered_json(split);
  if (!pictures.is_object()) throw FormatError(split.native(), "expected an object of pictures");
  for (const auto& [id, relative] : pictures.items()) {
    if (!relative.is_string()) {
      throw FormatError(split.native(),
                        fmt::format("the path of '{}' is no string", printable(id)));
    }
    const auto path = relative.get<std::string>();
    fs::path found =
        finder.find(std::vector<std::string>{path, fs::path(path).filename().string()});
    index_of.emplace(id, static_cast<int64_t>(set.gallery.size()));
    set.gallery.push_back({.id = id, .path = found.lexically_normal(), .drawn_text = {}});
  }
  set.references = set.gallery;
  for (size_t i = 0; i < set.gallery.size(); ++i) {
    set.reference_in_gallery.push_back(static_cast<int64_t>(i));
  }
  std::vector<std::string> ids;
  try {
    for (const Json& json : read_json(captions)) {
      ComposedItem item;
      item.id = std::to_string(require_field<int64_t>(json, "pairid"));
      ids.push_back(item.id);
      const auto find = [&](const std::string& id) {
        const auto found = index_of.find(id);
        if (found == index_of.end()) {
          throw FormatError(captions.native(),
                            fmt::format("pair {} names '{}', which is not in {}", item.id,
                                        printable(id), split.filename().native()));
        }
        return found->second;
      };
      item.reference = find(require_field<std::string>(json, "reference"));
      item.captions = {require_field<std::string>(json, "caption")};
      if (const auto target = find_field<std::string>(json, "target_hard")) {
        item.targets = {find(*target)};
      }
      const auto group = require_field<Json>(json, "img_set");
      for (const auto& id : require_field<std::vector<std::string>>(group, "members")) {
        const int64_t member = find(id);
        if (member != item.reference) item.subset.push_back(member);
      }
      set.queries.push_back(std::move(item));
    }
  } catch (const ConfigError& error) {
    throw FormatError(captions.native(), error.what());
  }
  check_unique(ids, captions.native());
  return set;
}

/// R@1, 5, 10, 50 with the reference masked, Rsubset@1, 2, 3 within the group without it; for test1
/// the two files that the server takes.
class CirrEvaluation final : public ComposedEvaluation {
 public:
  TaskReport run(const MakeSystem& make_system) const override {
    validate();
    ComposedSet set = load_cirr(data_);
    const std::unique_ptr<System> system = make_system();
    TaskReport report;
    report.system = system->describe();
    ComposedOptions options = composed_options();
    options.task = "cirr";
    options.mask_reference = true;
    options.ranking.top_k = 50;
    const ComposedRanking ranking = rank_composed(*system, std::move(set), options, report);
    system->finish();
    report.data["split"] = data_.split;
    if (has_all_targets(ranking.set.queries)) {
      report.add_recalls("cirr_recall", recall_ranks(ranking.ranked, false), {1, 5, 10, 50});
      report.add_recalls("cirr_subset_recall", recall_ranks(ranking.ranked, true), {1, 2, 3});
    } else {
      report.files["cirr_recall.json"] = submission(ranking, "recall", false);
      report.files["cirr_recall_subset.json"] = submission(ranking, "recall_subset", true);
    }
    add_composed_examples(ranking, "", options, report);
    return report;
  }
};

PublishedFigures figures(std::string system, double at1, double at5, double at10, double at50) {
  return {std::move(system),
          {{"cirr_recall@1", at1},
           {"cirr_recall@5", at5},
           {"cirr_recall@10", at10},
           {"cirr_recall@50", at50}}};
}

}  // namespace

/// Table 2.
Protocol cirr_protocol() {
  return {
      .name = "cirr",
      .summary = "CIRR, pictures by a picture and a change in words (table 2)",
      .data_layout =
          "captions/cap.rc2.SPLIT.json and image_splits/split.rc2.SPLIT.json of the branch\n"
          "cirr_dataset of the CIRR repository (also in cirr/), and the pictures (dev/, test1/)\n"
          "beside them, in img_raw/ or images/. --split val or test1; the answers of test1 are\n"
          "hidden: the report then has the two files that CIRR's server takes.",
      .example_data = "cirr/",
      .metrics = "cirr_recall@1/5/10/50, cirr_subset_recall@1/2/3",
      .make_evaluation = []() -> std::unique_ptr<Evaluation> {
        return std::make_unique<CirrEvaluation>();
      },
      .published = {figures("E5-V", 33.90, 64.12, 75.88, 93.54),
                    figures("iSEARLE-XL", 25.40, 54.05, 67.47, 88.92),
                    figures("CIReVL", 24.55, 52.31, 63.92, 86.34)},
      .note_on_published =
          "The paper's figures are of the hidden test split, measured by CIRR's server."};
}

}  // namespace e5v::detail
