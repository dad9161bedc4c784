#include "e5v/eval/retrieval.h"

namespace e5v::detail {

/// Whatever pictures with captions somebody has.
Protocol retrieval_protocol() {
  return {.name = "retrieval",
          .summary = "Your own pictures with captions, in both directions",
          .data_layout =
              "A file of captions, or a folder with one that is named captions.tsv, .csv, .jsonl\n"
              "or .txt: a picture's file name and a caption a line, tab- or comma-separated;\n"
              "as JSON lines {\"image\", \"caption\"} or {\"image\", \"captions\"}; or a JSON of\n"
              "Karpathy's or COCO's form. The pictures lie beside it or in images/.",
          .example_data = "captions.tsv",
          .metrics = kRetrievalMetrics,
          .make_evaluation = make_retrieval_evaluation};
}

}  // namespace e5v::detail
