#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "e5v/base/random.h"

namespace e5v::detail {

/// A world of small pictures in which everything is known: one to three shapes in a row or column
/// on a plain background. What a picture shows, what a caption says and whether the two agree
/// follows from the same few numbers.
inline constexpr int kNumSizes = 2, kNumColors = 8, kNumShapes = 6, kNumBackgrounds = 3;
inline constexpr int kMaxObjects = 3;

/// Numbers into the words of wording.h.
struct SceneObject {
  int size = 0;   ///< 0 small, 1 large
  int color = 0;  ///< below kNumColors
  int shape = 0;  ///< below kNumShapes

  friend bool operator==(const SceneObject&, const SceneObject&) = default;
};

enum class Arrangement {
  kRow,     ///< objects from left to right; also a single object
  kColumn,  ///< objects from top to bottom
};

struct Scene {
  int background = 0;  ///< below kNumBackgrounds
  Arrangement arrangement = Arrangement::kRow;
  std::vector<SceneObject> objects;

  friend bool operator==(const Scene&, const Scene&) = default;
};

/// True if no two objects agree in both colour and shape, so that each can be named, there are 1 to
/// kMaxObjects of them, and a single object is in a row.
bool is_valid(const Scene& scene);

/// A key: the same for equal scenes only.
uint64_t scene_key(const Scene& scene);

/// A key: the same for scenes with the same attributes, whichever object has which of them, in
/// whatever order and direction.
uint64_t attributes_key(const Scene& scene);

/// A scene's place in training or evaluation.
enum class SceneSplit { kTrain, kVal, kTest };
std::string_view scene_split_name(SceneSplit split);

/// 8 of 10 scenes are for training, one for validation, one for tests, by a hash of the attributes
/// that the scene has. Scenes of the same attributes in other bindings, orders and directions are
/// in the same split: no test scene is a rearrangement of one in training.
SceneSplit split_of(const Scene& scene);

/// A scene of `split`: one object in 10 %, two in 45 %, three in 45 % of the draws, everything else
/// uniform, drawn again until valid, of that split and of at least `min_objects`.
Scene random_scene(SplitMix64& random, SceneSplit split, int min_objects = 1);
SceneObject random_object(SplitMix64& random);

}  // namespace e5v::detail
