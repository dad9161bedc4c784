#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/eval/image_set.h"
#include "e5v/eval/protocol.h"
#include "e5v/eval/retrieval_set.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v::detail {

struct RetrievalOptions {
  OnMissing on_missing = OnMissing::kStop;
  /// I2I: captions are drawn as pictures and embedded as such.
  bool draw_captions = false;
  RankingOptions ranking;
  size_t num_examples = 8;  ///< best and worst, in each direction
};

/// Tables 1 and 4 of the paper: recall at 1, 5 and 10 of pictures by texts and of texts by
/// pictures, any right one in the top k.
TaskReport evaluate_retrieval(System& system, RetrievalSet set, const RetrievalOptions& options);

/// Leaves out pictures whose files are missing, and their captions.
RetrievalSet keep_present(RetrievalSet set, OnMissing on_missing,
                          std::vector<std::string>& skipped);

/// The evaluation of every protocol of pictures with captions, and the one where the captions are
/// drawn as pictures (I2I).
std::unique_ptr<Evaluation> make_retrieval_evaluation();
std::unique_ptr<Evaluation> make_drawn_caption_evaluation();

/// The names of its metrics, as Protocol has them.
inline constexpr std::string_view kRetrievalMetrics =
    "image_retrieval_recall@1/5/10, text_retrieval_recall@1/5/10";
/// Published recall at 1, 5, 10 of pictures by texts, then of texts by pictures.
PublishedFigures retrieval_figures(std::string system, const std::array<double, 6>& recalls);

}  // namespace e5v::detail
