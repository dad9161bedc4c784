#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "e5v/convert/weight_groups.h"

namespace e5v::detail {

/// Rounds a group of weights for `inputs` [T, in], and returns what was rounded.
using RoundGroup = std::function<std::vector<RoundedPart>(const WeightGroup&, const at::Tensor&)>;

/// Sends `batch` through the language model once, and calls `round` with each of `groups` (those of
/// the language model in `model`) in the order of the model, with what its product is given there;
/// what it returns is what the product then is made with, so that a weight is rounded for what
/// those before it leave.
///
/// `model` has no weights; afterwards it is of no use. The vision tower is loaded where the batch
/// has pictures.
void round_in_passing(Model& model, const WeightNames& names,
                      const std::filesystem::path& model_dir,
                      const std::vector<WeightGroup>& groups, Precision precision,
                      const PackedBatch& batch, const RoundGroup& round);

}  // namespace e5v::detail
