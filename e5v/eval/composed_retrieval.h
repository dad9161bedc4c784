#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "e5v/eval/data_options.h"
#include "e5v/eval/image_set.h"
#include "e5v/eval/protocol.h"
#include "e5v/eval/ranking.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v::detail {

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

/// Whether every query has a target; the owners of a data set keep those of its test split.
bool has_all_targets(const std::vector<ComposedItem>& queries);

/// A protocol of composed queries, whose answers are public for the split "val".
class ComposedEvaluation : public Evaluation {
 public:
  void register_options(OptionRegistry& registry) override {
    data_.register_options(registry);
    data_.register_examples(registry);
  }
  void validate() const override { data_.validate(); }

 protected:
  ComposedOptions composed_options() const {
    ComposedOptions options;
    options.on_missing = data_.on_missing;
    options.num_examples = static_cast<size_t>(data_.num_examples);
    return options;
  }

  DataOptions data_{"val"};
};

}  // namespace e5v::detail
