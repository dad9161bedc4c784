#include "e5v/shapes/scene.h"

#include <algorithm>
#include <array>

namespace e5v::detail {

bool is_valid(const Scene& scene) {
  const size_t count = scene.objects.size();
  if (count < 1 || count > kMaxObjects) return false;
  if (count == 1 && scene.arrangement != Arrangement::kRow) return false;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const SceneObject &a = scene.objects[i], &b = scene.objects[j];
      if (a.color == b.color && a.shape == b.shape) return false;
    }
  }
  return true;
}

uint64_t scene_key(const Scene& scene) {
  uint64_t key = scene.objects.size();
  const auto append = [&](int value, int bound) {
    key = key * static_cast<uint64_t>(bound) + static_cast<uint64_t>(value);
  };
  append(scene.background, kNumBackgrounds);
  append(static_cast<int>(scene.arrangement), 2);
  for (const SceneObject& object : scene.objects) {
    append(object.size, kNumSizes);
    append(object.color, kNumColors);
    append(object.shape, kNumShapes);
  }
  return key;
}

std::string_view scene_split_name(SceneSplit split) {
  switch (split) {
    case SceneSplit::kTrain:
      return "train";
    case SceneSplit::kVal:
      return "val";
    case SceneSplit::kTest:
      return "test";
  }
  return "";
}

uint64_t attributes_key(const Scene& scene) {
  // Each attribute sorted on its own: what is left without bindings, order and direction.
  Scene words = scene;
  words.arrangement = Arrangement::kRow;
  const auto sort_one = [&](int SceneObject::*attribute) {
    std::vector<int> values;
    for (const SceneObject& object : scene.objects) values.push_back(object.*attribute);
    std::sort(values.begin(), values.end());
    for (size_t i = 0; i < values.size(); ++i) words.objects[i].*attribute = values[i];
  };
  sort_one(&SceneObject::size);
  sort_one(&SceneObject::color);
  sort_one(&SceneObject::shape);
  return scene_key(words);
}

SceneSplit split_of(const Scene& scene) {
  const uint64_t tenth = mix64(attributes_key(scene)) % 10;
  return tenth == 0 ? SceneSplit::kTest : tenth == 1 ? SceneSplit::kVal : SceneSplit::kTrain;
}

SceneObject random_object(SplitMix64& random) {
  const auto draw = [&](int bound) {
    return static_cast<int>(random.below(static_cast<uint64_t>(bound)));
  };
  SceneObject object;
  object.size = draw(kNumSizes);
  object.color = draw(kNumColors);
  object.shape = draw(kNumShapes);
  return object;
}

Scene random_scene(SplitMix64& random, SceneSplit split, int min_objects) {
  for (;;) {
    const uint64_t percent = random.below(100);
    const int count = percent < 10 ? 1 : percent < 55 ? 2 : 3;
    Scene scene;
    scene.background = static_cast<int>(random.below(kNumBackgrounds));
    const bool is_column = random.below(2) == 1;
    scene.arrangement = count > 1 && is_column ? Arrangement::kColumn : Arrangement::kRow;
    for (int i = 0; i < count; ++i) scene.objects.push_back(random_object(random));
    if (count >= min_objects && is_valid(scene) && split_of(scene) == split) return scene;
  }
}

}  // namespace e5v::detail
