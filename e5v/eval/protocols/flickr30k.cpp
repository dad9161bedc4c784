#include "e5v/eval/retrieval.h"

namespace e5v::detail {

/// Table 1.
Protocol flickr30k_protocol() {
  return {.name = "flickr30k",
          .summary = "Flickr30K, pictures by texts and texts by pictures (table 1)",
          .data_layout =
              "dataset_flickr30k.json (Karpathy's splits) or results_20130124.token, and\n"
              "flickr30k-images/ or images/ with the pictures.",
          .example_data = "flickr30k/",
          .metrics = kRetrievalMetrics,
          .make_evaluation = make_retrieval_evaluation,
          .published = {retrieval_figures("E5-V", {79.5, 95.0, 97.6, 88.2, 98.7, 99.4}),
                        retrieval_figures("CLIP ViT-L", {67.3, 89.0, 93.3, 87.2, 98.3, 99.4}),
                        retrieval_figures("EVA-02-CLIP 5B", {78.8, 94.2, 96.8, 93.9, 99.4, 99.8})}};
}

}  // namespace e5v::detail
