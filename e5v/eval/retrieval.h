#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/eval/image_set.h"
#include "e5v/eval/protocol.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v {

/// Pictures with captions.
struct RetrievalSet {
  std::string source;  ///< the file it was read from
  std::vector<EvalImage> images;
  std::vector<std::string> captions;
  /// Index into `images`; the captions of one picture are adjacent.
  std::vector<int64_t> image_of_caption;
};

struct RetrievalData {
  /// A folder or the caption file itself. In a folder dataset_flickr30k.json, dataset_coco.json,
  /// dataset.json (Karpathy), captions_val2017.json, captions_val2014.json (COCO; also in
  /// annotations/), results_20130124.token, captions.txt, .tsv, .csv or .jsonl are looked for.
  std::filesystem::path path;
  /// Folder of the pictures; empty = beside the file, in images/, flickr30k-images/, val2017/,
  /// val2014/ or train2014/.
  std::filesystem::path images;
  std::string split = "test";  ///< of a Karpathy file
  /// Of each picture at the most, the first ones; 0 = all.
  int64_t captions_per_image = 5;
};

/// Reads a Karpathy JSON, a COCO captions JSON, or lines of a picture's name and a caption:
/// tab-separated (`name#0` as Flickr30K has it, too), comma-separated with a header, or JSONL with
/// "image" and "caption" or "captions". Pictures need not exist. Throws FileError, FormatError
/// naming the place (ids twice, captions of pictures that are not there, empty captions, no
/// captions).
RetrievalSet load_retrieval(const RetrievalData& data);

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

}  // namespace e5v
