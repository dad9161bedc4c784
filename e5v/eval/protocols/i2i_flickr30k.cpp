#include "e5v/eval/retrieval.h"

namespace e5v::detail {

/// Table 4.
Protocol i2i_flickr30k_protocol() {
  return {.name = "i2i-flickr30k",
          .summary = "Flickr30K with its captions drawn as pictures (table 4)",
          .data_layout = "As for flickr30k.",
          .example_data = "flickr30k/",
          .metrics = kRetrievalMetrics,
          .make_evaluation = make_drawn_caption_evaluation,
          .published = {retrieval_figures("E5-V", {67.8, 89.2, 93.6, 79.5, 95.2, 97.8}),
                        retrieval_figures("CLIP ViT-L", {3.8, 10.8, 16.1, 27.7, 52.7, 63.9}),
                        retrieval_figures("EVA-02-CLIP 5B", {18.8, 37.8, 46.9, 42.3, 71.0, 81.4})}};
}

}  // namespace e5v::detail
