#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "e5v/eval/image_set.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v {

/// A picture, a text that changes it, and which pictures of the gallery are right.
struct ComposedItem {
  std::string id;
  int64_t reference = 0;  ///< index into the references
  std::vector<std::string> captions;
  std::vector<int64_t> targets;  ///< indices into the gallery; empty where the owners keep them
  std::vector<int64_t> subset;   ///< CIRR: the others of the query's group
};

/// Composed retrieval: what CIRR, FashionIQ and CIRCO have in common.
struct ComposedSet {
  std::string source;
  std::vector<EvalImage> gallery;
  std::vector<EvalImage> references;
  /// Index of each reference in the gallery, −1 where it is not in it.
  std::vector<int64_t> reference_in_gallery;
  std::vector<ComposedItem> queries;
};

struct ComposedOptions {
  OnMissing on_missing = OnMissing::kStop;
  std::string task = "cirr";    ///< whose prompts
  bool mask_reference = false;  ///< the reference is never the answer
  RankingOptions ranking;
  size_t num_examples = 8;
  size_t num_shown = 5;
};

/// The rankings of a set of composed queries, of which each protocol makes its figures. Queries
/// without a vector, or with a target that has none, are left out, as is said in the report.
struct ComposedRanking {
  ComposedSet set;  ///< what was left to be evaluated
  std::vector<RankedQuery> ranked;
};

ComposedRanking rank_composed(System& system, ComposedSet set, const ComposedOptions& options,
                              TaskReport& report);

/// Adds the best and worst queries of `ranking` to the report, under `title`.
void add_composed_examples(const ComposedRanking& ranking, const std::string& title,
                           const ComposedOptions& options, TaskReport& report);

/// Folders and split of a data set as its owners publish it.
struct ComposedData {
  std::filesystem::path path;
  std::filesystem::path images;  ///< empty = where the owners' folder has them
  std::string split = "val";
};

/// CIRR v1 (rc2): captions/cap.rc2.SPLIT.json, image_splits/split.rc2.SPLIT.json; pictures in the
/// folder itself, img_raw/ or images/. Split val or test1. Throws FileError, FormatError (ids
/// twice, ids that are not in the split).
ComposedSet load_cirr(const ComposedData& data);
/// R@1, 5, 10, 50 with the reference masked, Rsubset@1, 2, 3 within the group without it; for test1
/// the two files that the server takes.
TaskReport evaluate_cirr(System& system, ComposedSet set, ComposedOptions options,
                         const std::string& split);

/// FashionIQ: captions/cap.CATEGORY.SPLIT.json, image_splits/split.CATEGORY.SPLIT.json; pictures in
/// images/ as ID.png or ID.jpg. Category dress, shirt or toptee.
ComposedSet load_fashioniq(const ComposedData& data, const std::string& category);
/// R@10 and R@50 of each category among its own pictures, and their mean; the vectors of both
/// orders of the two captions are added.
TaskReport evaluate_fashioniq(System& system, const ComposedData& data, ComposedOptions options);

/// CIRCO v1.0: annotations/SPLIT.json; the gallery is COCO's unlabeled2017, as its
/// image_info_unlabeled2017.json lists it, else the folder of its pictures. Split val or test.
ComposedSet load_circo(const ComposedData& data);
/// mAP@5, 10, 25, 50, and R@k of the one target for which the text was written; for test the file
/// that the server takes.
TaskReport evaluate_circo(System& system, ComposedSet set, ComposedOptions options,
                          const std::string& split);

}  // namespace e5v
