#pragma once

#include <optional>
#include <string>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/shapes/scene.h"
#include "e5v/shapes/wording.h"

namespace e5v::detail {

/// A scene of `split` that differs from `scene` in one step: an attribute, the background or the
/// direction changed, or two objects' attributes or places exchanged. nullopt if no such
/// scene of that split was drawn in a fixed number of attempts.
std::optional<Scene> random_neighbor(const Scene& scene, SceneSplit split, SplitMix64& random);

/// Every scene that `scene` becomes when the sizes, colours, shapes or places of two objects are
/// exchanged: captions of them have the same words in another order.
std::vector<Scene> exchanged_scenes(const Scene& scene);

/// What an instruction asks for.
enum class EditKind { kColor, kShape, kSize, kBackground, kSwap, kRemove, kAdd };

/// An instruction such as "make the disc red", and the only scene that obeys it.
struct Edit {
  EditKind kind;
  std::string instruction;
  Scene target;
};

/// An edit of that kind whose target is in `split`; nullopt if none was drawn in a fixed number of
/// attempts, e.g. because nothing can be swapped.
std::optional<Edit> random_edit(const Scene& scene, EditKind kind, SceneSplit split,
                                SplitMix64& random);

}  // namespace e5v::detail
