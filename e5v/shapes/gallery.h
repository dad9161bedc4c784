#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/shapes/change.h"
#include "e5v/shapes/scene.h"
#include "e5v/shapes/wording.h"

namespace e5v::detail {

/// A scene and one caption of it.
struct CaptionedScene {
  Scene scene;
  std::string caption;
};

/// `count` distinct scenes of `split`. Throws ConfigError where the split has not enough of them.
std::vector<CaptionedScene> random_gallery(int64_t count, SceneSplit split, SplitMix64& random);

/// `count` scenes of `split`, no two of which have the same attributes: a bag of words can tell
/// each from all others. Throws ConfigError where the split has not enough of them.
std::vector<CaptionedScene> distinct_gallery(int64_t count, SceneSplit split, SplitMix64& random);

/// `count` distinct scenes in groups of four (the last may be smaller). Scenes of a group differ
/// from its first by one exchange, and their captions in the order of their words alone: a bag of
/// words finds one in four.
std::vector<CaptionedScene> hard_gallery(int64_t count, SceneSplit split, SplitMix64& random);

/// A reference, edits of it, and a scene that is one step away from the first edit's target: all
/// distinct, also from those of other groups.
struct ComposedGroup {
  Scene reference;
  std::vector<Edit> edits;
  Scene near_miss;
};
inline constexpr int64_t kEditsPerGroup = 4;

/// Groups with `num_edits` edits in all; the last may have fewer than kEditsPerGroup.
/// Throws ConfigError where the split has not enough scenes.
std::vector<ComposedGroup> composed_groups(int64_t num_edits, SceneSplit split, SplitMix64& random);

/// Texts of which the second follows from the first and the third contradicts both.
struct CaptionTriplet {
  std::string anchor, positive, negative;
};

/// A triplet of captions: anchor and positive are of one scene of `split`, the negative is of a
/// scene one change away. In 3 of 10 triplets the positive leaves out a kind of fact (and the
/// negative may, too), but never the fact in which the scenes differ.
CaptionTriplet random_triplet(SceneSplit split, SplitMix64& random);

}  // namespace e5v::detail
