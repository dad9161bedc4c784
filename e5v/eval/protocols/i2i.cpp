#include "e5v/eval/retrieval.h"

namespace e5v::detail {

Protocol i2i_protocol() {
  return {.name = "i2i",
          .summary = "Your own pictures with captions, which are drawn as pictures",
          .data_layout = "As for retrieval.",
          .example_data = "captions.tsv",
          .metrics = kRetrievalMetrics,
          .make_evaluation = make_drawn_caption_evaluation};
}

}  // namespace e5v::detail
