#include <algorithm>
#include <array>
#include <unordered_map>

#include "e5v/base/error.h"
#include "e5v/eval/composed_retrieval.h"

namespace e5v::detail {
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

/// One category. Throws FileError, FormatError.
ComposedSet load_fashioniq(const DataOptions& data, const std::string& category) {
  const fs::path captions =
      find_file(data.data, "captions", fmt::format("cap.{}.{}.json", category, data.split));
  const fs::path split =
      find_file(data.data, "image_splits", fmt::format("split.{}.{}.json", category, data.split));
  const fs::path base = split.parent_path().parent_path();
  PictureFinder finder(
      data.images.empty()
          ? std::vector<fs::path>{base / "images", base / "images" / category, base / category}
          : std::vector<fs::path>{data.images, data.images / category});
  ComposedSet set;
  set.source = captions.string();
  std::unordered_map<std::string, int64_t> index_of, reference_of;
  const auto picture = [&](const std::string& id) {
    fs::path path = finder.find(std::vector<std::string>{id + ".png", id + ".jpg", id + ".jpeg"});
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

/// R@10 and R@50 of each category among its own pictures, and their mean.
class FashionIqEvaluation final : public ComposedEvaluation {
 public:
  TaskReport run(const MakeSystem& make_system) const override {
    validate();
    // All files are read before anything is embedded, so that a broken one is not found hours
    // later.
    std::vector<ComposedSet> sets;
    for (const char* category : kCategories) sets.push_back(load_fashioniq(data_, category));
    const std::unique_ptr<System> system = make_system();
    TaskReport report;
    report.system = system->describe();
    ComposedOptions options = composed_options();
    options.ranking.top_k = 50;
    std::array<double, kRecallsAt.size()> sums{};
    Json counts = Json::object();
    for (size_t c = 0; c < kCategories.size(); ++c) {
      const std::string category = kCategories[c];
      options.task = "fashioniq-" + category;
      const ComposedRanking ranking = rank_composed(*system, std::move(sets[c]), options, report);
      require_targets(ranking.set);
      std::vector<int64_t> ranks;
      for (const RankedQuery& query : ranking.ranked) ranks.push_back(query.best_rank);
      report.add_recalls(fmt::format("fashioniq_{}_recall", category), ranks,
                         {kRecallsAt.begin(), kRecallsAt.end()});
      for (size_t k = 0; k < kRecallsAt.size(); ++k) {
        sums[k] += 100 * recall_at_k(ranks, kRecallsAt[k]);
      }
      counts[category] = {{"gallery", ranking.set.gallery.size()},
                          {"queries", ranking.set.queries.size()}};
      add_composed_examples(ranking, ", " + category, options, report);
    }
    system->finish();
    for (size_t k = 0; k < kRecallsAt.size(); ++k) {
      report.metrics.push_back({fmt::format("fashioniq_mean_recall@{}", kRecallsAt[k]),
                                sums[k] / static_cast<double>(kCategories.size()), std::nullopt});
    }
    report.data = {{"source", data_.data.string()}, {"split", data_.split}, {"categories", counts}};
    return report;
  }

 private:
  static constexpr std::array<int64_t, 2> kRecallsAt = {10, 50};

  void require_targets(const ComposedSet& set) const {
    for (const ComposedItem& item : set.queries) {
      if (!item.targets.empty()) continue;
      throw InputError(fmt::format("{}: query {} has no target; split '{}' cannot be scored",
                                   set.source, item.id, data_.split));
    }
  }
};

/// R@10 and R@50 of shirt, dress, toptee and the mean, in the order of the paper's table.
PublishedFigures figures(std::string system, const std::array<double, 8>& recalls) {
  PublishedFigures figures{std::move(system), {}};
  size_t next = 0;
  for (const char* category : {"shirt", "dress", "toptee", "mean"}) {
    for (const int k : {10, 50}) {
      figures.metrics[fmt::format("fashioniq_{}_recall@{}", category, k)] = recalls[next++];
    }
  }
  return figures;
}

}  // namespace

/// Table 3.
Protocol fashioniq_protocol() {
  return {
      .name = "fashioniq",
      .summary = "FashionIQ, dresses, shirts and tops by a picture and a change in words (table 3)",
      .data_layout =
          "captions/cap.CATEGORY.SPLIT.json and image_splits/split.CATEGORY.SPLIT.json of the\n"
          "FashionIQ repository for dress, shirt and toptee, and the pictures in images/ as "
          "ID.png\n"
          "or ID.jpg.",
      .example_data = "fashion-iq/",
      .metrics = "fashioniq_dress/shirt/toptee/mean_recall@10/50",
      .make_evaluation = []() -> std::unique_ptr<Evaluation> {
        return std::make_unique<FashionIqEvaluation>();
      },
      .published = {
          figures("E5-V", {36.36, 56.43, 23.75, 47.45, 35.29, 57.47, 31.80, 53.78}),
          figures("iSEARLE-XL", {31.80, 50.20, 24.19, 45.12, 31.72, 53.29, 29.24, 49.54})}};
}

}  // namespace e5v::detail
