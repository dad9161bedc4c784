#include <algorithm>
#include <unordered_map>

#include "e5v/base/error.h"
#include "e5v/eval/composed_retrieval.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// COCO's file names: the id in twelve digits.
std::string picture_name(int64_t id) { return fmt::format("{:012d}.jpg", id); }

/// Ids of the gallery, in the order of COCO's list, or else of the folder's names.
std::vector<int64_t> gallery_ids(const fs::path& folder, const std::vector<fs::path>& roots) {
  for (const char* name :
       {"COCO2017_unlabeled/annotations/image_info_unlabeled2017.json",
        "annotations/image_info_unlabeled2017.json", "image_info_unlabeled2017.json"}) {
    if (!fs::exists(folder / name)) continue;
    std::vector<int64_t> ids;
    try {
      for (const Json& image : require_field<Json>(read_json(folder / name), "images")) {
        ids.push_back(require_field<int64_t>(image, "id"));
      }
    } catch (const ConfigError& error) {
      throw FormatError((folder / name).native(), error.what());
    }
    return ids;
  }
  for (const fs::path& root : roots) {
    std::vector<int64_t> ids;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(root, error)) {
      const std::string stem = entry.path().stem().string();
      const bool is_id = entry.path().extension() == ".jpg" && !stem.empty() && stem.size() <= 12 &&
                         stem.find_first_not_of("0123456789") == std::string::npos;
      if (is_id) ids.push_back(std::stoll(stem));
    }
    std::sort(ids.begin(), ids.end());
    if (!ids.empty()) return ids;
  }
  throw FileError(folder.native(), "cannot find CIRCO's gallery",
                  "looked for image_info_unlabeled2017.json in it, annotations/ and "
                  "COCO2017_unlabeled/annotations/, and for pictures named by twelve digits in "
                  "COCO2017_unlabeled/unlabeled2017, unlabeled2017, images; or name the folder");
}

/// CIRCO v1.0. The gallery is COCO's unlabeled2017, as its image_info_unlabeled2017.json lists it,
/// else the folder of its pictures. Throws FileError, FormatError.
ComposedSet load_circo(const DataOptions& data) {
  const std::vector<std::string> names = {"annotations/" + data.split + ".json",
                                          data.split + ".json"};
  const fs::path annotations = find_data_file(data.data, names, "CIRCO's annotations");
  const std::vector<fs::path> roots =
      data.images.empty() ? std::vector<fs::path>{data.data / "COCO2017_unlabeled/unlabeled2017",
                                                  data.data / "unlabeled2017", data.data / "images"}
                          : std::vector<fs::path>{data.images};
  ComposedSet set;
  set.source = annotations.string();
  PictureFinder finder(roots);
  std::unordered_map<int64_t, int64_t> index_of;
  for (const int64_t id : gallery_ids(data.data, roots)) {
    fs::path path = finder.find(std::vector<std::string>{picture_name(id)});
    if (!index_of.emplace(id, static_cast<int64_t>(set.gallery.size())).second) {
      throw FormatError(data.data.native(), fmt::format("picture {} is listed twice", id));
    }
    set.gallery.push_back({.id = std::to_string(id), .path = std::move(path), .drawn_text = {}});
  }
  set.references = set.gallery;
  for (size_t i = 0; i < set.gallery.size(); ++i) {
    set.reference_in_gallery.push_back(static_cast<int64_t>(i));
  }
  std::vector<std::string> ids;
  try {
    for (const Json& json : read_json(annotations)) {
      ComposedItem item;
      item.id = std::to_string(require_field<int64_t>(json, "id"));
      ids.push_back(item.id);
      const auto find = [&](int64_t id) {
        const auto found = index_of.find(id);
        if (found == index_of.end()) {
          throw FormatError(annotations.native(),
                            fmt::format("query {} names picture {}, which is not in the gallery of "
                                        "{} pictures; is that all of COCO's unlabeled2017?",
                                        item.id, id, set.gallery.size()));
        }
        return found->second;
      };
      item.reference = find(require_field<int64_t>(json, "reference_img_id"));
      item.captions = {require_field<std::string>(json, "relative_caption")};
      if (const auto target = find_field<int64_t>(json, "target_img_id")) {
        // The one that the text was written for stands first, as in the published lists.
        item.targets = {find(*target)};
        for (const int64_t id : require_field<std::vector<int64_t>>(json, "gt_img_ids")) {
          if (id != *target) item.targets.push_back(find(id));
        }
      }
      set.queries.push_back(std::move(item));
    }
  } catch (const ConfigError& error) {
    throw FormatError(annotations.native(), error.what());
  }
  check_unique(ids, annotations.native());
  return set;
}

/// The gallery's first 50 for each query, as CIRCO's server takes them.
std::string submission(const ComposedRanking& ranking) {
  Json json = Json::object();
  for (size_t q = 0; q < ranking.ranked.size(); ++q) {
    Json found = Json::array();
    for (const int64_t index : ranking.ranked[q].top) {
      found.push_back(std::stoll(ranking.set.gallery[static_cast<size_t>(index)].id));
    }
    json[ranking.set.queries[q].id] = std::move(found);
  }
  return json.dump() + "\n";
}

void add_figures(const ComposedRanking& ranking, TaskReport& report) {
  constexpr int64_t kAt[] = {5, 10, 25, 50};
  std::vector<int64_t> target_ranks;
  std::vector<std::vector<double>> precisions(std::size(kAt));
  for (size_t q = 0; q < ranking.ranked.size(); ++q) {
    const std::vector<int64_t>& targets = ranking.set.queries[q].targets;
    const std::vector<int64_t>& top = ranking.ranked[q].top;
    const auto relevant = std::make_unique<bool[]>(top.size());
    int64_t target_rank = -1;
    for (size_t i = 0; i < top.size(); ++i) {
      relevant[i] = std::find(targets.begin(), targets.end(), top[i]) != targets.end();
      if (top[i] == targets.front()) target_rank = static_cast<int64_t>(i);
    }
    target_ranks.push_back(target_rank);
    for (size_t k = 0; k < precisions.size(); ++k) {
      precisions[k].push_back(100 * average_precision_at_k({relevant.get(), top.size()},
                                                           static_cast<int64_t>(targets.size()),
                                                           kAt[k]));
    }
  }
  for (size_t k = 0; k < precisions.size(); ++k) {
    report.add_mean(fmt::format("circo_map@{}", kAt[k]), std::move(precisions[k]));
  }
  report.add_recalls("circo_recall", target_ranks, {5, 10, 25, 50});
}

/// mAP@5, 10, 25, 50, and R@k of the one target for which the text was written; for test the file
/// that the server takes.
class CircoEvaluation final : public ComposedEvaluation {
 public:
  TaskReport run(const MakeSystem& make_system) const override {
    validate();
    ComposedSet set = load_circo(data_);
    const std::unique_ptr<System> system = make_system();
    TaskReport report;
    report.system = system->describe();
    ComposedOptions options = composed_options();
    options.task = "cirr";  // the paper has no prompts for CIRCO, whose queries are of CIRR's kind
    options.ranking.top_k = 50;
    const ComposedRanking ranking = rank_composed(*system, std::move(set), options, report);
    system->finish();
    report.data["split"] = data_.split;
    if (!has_all_targets(ranking.set.queries)) {
      report.files["circo_submission.json"] = submission(ranking);
      return report;
    }
    add_figures(ranking, report);
    add_composed_examples(ranking, "", options, report);
    return report;
  }
};

}  // namespace

/// Not in the paper.
Protocol circo_protocol() {
  return {
      .name = "circo",
      .summary = "CIRCO, pictures by a picture and a change in words, several right answers",
      .data_layout =
          "annotations/SPLIT.json of the CIRCO repository; the gallery is COCO's unlabeled2017:\n"
          "image_info_unlabeled2017.json (also in annotations/ and "
          "COCO2017_unlabeled/annotations/)\n"
          "and the pictures in unlabeled2017/, COCO2017_unlabeled/unlabeled2017/ or images/.\n"
          "--split val or test; the answers of test are hidden: the report then has the file that\n"
          "CIRCO's server takes.",
      .example_data = "CIRCO/",
      .metrics = "circo_map@5/10/25/50, circo_recall@5/10/25/50",
      .make_evaluation = []() -> std::unique_ptr<Evaluation> {
        return std::make_unique<CircoEvaluation>();
      }};
}

}  // namespace e5v::detail
