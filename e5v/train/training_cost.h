#pragma once

#include <cstdint>
#include <optional>

#include "e5v/embed/prepare.h"
#include "e5v/model/clip_config.h"

namespace e5v::detail {

/// What a number of training pairs takes.
struct TrainingCost {
  int64_t tokens = 0;  ///< that go through the language model, or through CLIP's towers
  double flops = 0;
  double seconds = 0;
};

/// Passes over the model that one token costs, each worth its forward FLOPs.
struct TrainingPasses {
  int64_t forward = 1;
  int64_t backward = 1;  ///< through the states only: frozen weights get no gradient
};

/// Floating-point operations of `tokens` in the language model's matrix products, all passes.
double text_flops(const TextConfig& config, int64_t tokens, const TrainingPasses& passes);

/// The same for CLIP: of texts' tokens, and of pictures' patches and class tokens, in its towers.
double clip_flops(const ClipConfig& config, int64_t text_tokens, int64_t image_tokens,
                  const TrainingPasses& passes);

/// What the same number of pairs would take with a 640x480 picture as each pair's anchor, in place
/// of a text, at the speed (FLOP/s) that `text` was done with: the comparison of the paper's
/// table 8. The tower is frozen and run once a pass. nullopt if the model takes no pictures.
std::optional<TrainingCost> cost_with_pictures(const ItemPreparer& preparer,
                                               const TrainingCost& text, int64_t num_pairs,
                                               double texts_per_pair, const TrainingPasses& passes);

}  // namespace e5v::detail
