#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "e5v/eval/eval_image.h"

namespace e5v::detail {

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

/// Reads a Karpathy JSON, a COCO captions JSON, a table as read_caption_table takes it (where
/// `name#0` is caption 0 of `name`, as in Flickr30K's), or JSONL with "image" and "caption" or
/// "captions". Pictures need not exist. Throws FileError, FormatError naming the place (ids twice,
/// captions of pictures that are not there, empty captions, no captions).
RetrievalSet load_retrieval(const RetrievalData& data);

}  // namespace e5v::detail
