#include "e5v/eval/retrieval.h"

namespace e5v::detail {

/// Table 4.
Protocol i2i_coco_protocol() {
  return {.name = "i2i-coco",
          .summary = "COCO with its captions drawn as pictures (table 4)",
          .data_layout = "As for coco.",
          .example_data = "coco/",
          .metrics = kRetrievalMetrics,
          .make_evaluation = make_drawn_caption_evaluation,
          .published = {retrieval_figures("E5-V", {41.2, 66.7, 76.2, 51.6, 76.8, 84.9}),
                        retrieval_figures("CLIP ViT-L", {1.5, 4.4, 6.6, 10.9, 24.9, 33.2}),
                        retrieval_figures("EVA-02-CLIP 5B", {6.3, 16.0, 22.9, 17.2, 35.9, 46.6})}};
}

}  // namespace e5v::detail
