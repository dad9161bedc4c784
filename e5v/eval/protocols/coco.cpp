#include "e5v/eval/retrieval.h"

namespace e5v::detail {

/// Table 1.
Protocol coco_protocol() {
  return {.name = "coco",
          .summary = "COCO, pictures by texts and texts by pictures (table 1)",
          .data_layout =
              "dataset_coco.json (Karpathy's splits) or captions_val2014.json or\n"
              "captions_val2017.json (also in annotations/), and val2014/ or val2017/ with\n"
              "the pictures.",
          .example_data = "coco/",
          .metrics = kRetrievalMetrics,
          .make_evaluation = make_retrieval_evaluation,
          .published = {retrieval_figures("E5-V", {52.0, 76.5, 84.7, 62.0, 83.6, 89.7}),
                        retrieval_figures("CLIP ViT-L", {37.0, 61.6, 71.5, 58.1, 81.0, 87.8}),
                        retrieval_figures("EVA-02-CLIP 5B", {51.1, 75.0, 82.7, 68.8, 87.8, 92.8})}};
}

}  // namespace e5v::detail
