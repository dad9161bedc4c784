#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/base/progress.h"
#include "e5v/shapes/scene.h"

namespace e5v::detail {

struct ShapesOptions {
  SceneSplit split = SceneSplit::kTest;
  /// Scenes in each part; queries in "composed", rows in "triplets". 1 to 100,000.
  int64_t scenes = 1000;
  /// Equal options give equal texts and pixels on every machine.
  int64_t seed = 0;
  /// Pixels of a picture's side, 24 to 1024; pictures of text have three times as many.
  int64_t side = 48;
  /// What is written; see write_shapes.
  std::vector<std::string> parts = {"rand", "hard", "composed", "text", "triplets", "questions"};

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError naming the option.
  void validate() const;
};

/// Writes a folder of scenes of one split, in the formats that evaluations and training read:
///
///   rand/dataset.json, images/   distinct scenes, a caption each: Karpathy's JSON
///   distinct/dataset.json,       (not written unless asked for) the same without two scenes of the
///   images/                      same attributes: a bag of words can tell them apart
///   hard/dataset.json, images/   the same in groups of four, whose captions are of the very same
///                                words in other orders ("group" counts them)
///   text/dataset.json, images/   captions, and a picture of each with another phrasing written on
///   composed/                    CIRR's layout (captions/cap.rc2.SPLIT.json, image_splits/,
///                                SPLIT/): a reference, four edits of it, and a picture that is
///                                nearly the first edit's target in each `img_set`; "kind" is the
///                                edit's
///   triplets.csv                 sent0,sent1,hard_neg: a caption; another one of the same scene,
///                                at times with a detail left out; a caption of a nearby scene
///                                that contradicts both
///   questions.jsonl              {"image", "caption", "questions": [{"kind", "question",
///                                "answer"}, …]}, the pictures being rand's
///   text_conversations.jsonl     (part "conversations", not written unless asked for) what a model
///   text_edits.jsonl             of this world is pretrained on, as LLaVA's instruction data has
///   picture_conversations.jsonl  it: about texts; edits of texts alone; questions and descriptions
///   picture_words.jsonl          of rand's pictures; one word for each of these
///   words.txt                    every word in them
///   picture_captions.jsonl       rand's pictures and captions as rows of training data
///   picture_descriptions.jsonl   the same with their descriptions
///
/// Every scene of a folder, also the targets of edits and the members of groups, is of `split`.
/// Pictures are side x side PNG files. The folder must be new or empty and appears when complete.
/// Throws ConfigError, FileError.
void write_shapes(const std::filesystem::path& folder, const ShapesOptions& options,
                  const ProgressCallback& progress = nullptr);

}  // namespace e5v::detail
