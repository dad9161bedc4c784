#include "e5v/shapes/change.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace e5v::detail {
namespace {

/// Draws before a kind of change is given up for a scene.
constexpr int kMaxDraws = 40;

int draw(SplitMix64& random, int bound) {
  return static_cast<int>(random.below(static_cast<uint64_t>(bound)));
}

/// Two different numbers below `count`.
std::pair<size_t, size_t> draw_pair(SplitMix64& random, size_t count) {
  const size_t first = random.below(count), step = 1 + random.below(count - 1);
  return {first, (first + step) % count};
}

void exchange(Scene& scene, size_t i, size_t j, int SceneObject::*attribute) {
  std::swap(scene.objects[i].*attribute, scene.objects[j].*attribute);
}

void change_one_step(Scene& scene, SplitMix64& random) {
  const size_t count = scene.objects.size();
  SceneObject& object = scene.objects[random.below(count)];
  switch (draw(random, count == 1 ? 4 : 9)) {
    case 0:
      object.color = draw(random, kNumColors);
      return;
    case 1:
      object.shape = draw(random, kNumShapes);
      return;
    case 2:
      object.size = draw(random, kNumSizes);
      return;
    case 3:
      scene.background = draw(random, kNumBackgrounds);
      return;
    case 4:
      scene.arrangement =
          scene.arrangement == Arrangement::kRow ? Arrangement::kColumn : Arrangement::kRow;
      return;
    default:
      const std::vector<Scene> exchanged = exchanged_scenes(scene);
      if (!exchanged.empty()) scene = exchanged[random.below(exchanged.size())];
  }
}

template <size_t N>
std::string one_of(const std::array<std::string, N>& forms, SplitMix64& random) {
  return forms[random.below(N)];
}

/// An edit that may not be valid or change anything.
std::optional<Edit> draw_edit(const Scene& scene, EditKind kind, SplitMix64& random) {
  const size_t count = scene.objects.size();
  const Phrasing phrasing = Phrasing::random(random);
  const size_t i = random.below(count);
  const std::string name = definite_name(scene, i, phrasing, random);
  Edit edit{kind, "", scene};
  SceneObject& object = edit.target.objects[i];
  switch (kind) {
    case EditKind::kColor: {
      object.color = draw(random, kNumColors);
      const auto color = color_word(object.color);
      edit.instruction = one_of<2>({fmt::format("make the {} {}", name, color),
                                    fmt::format("change the color of the {} to {}", name, color)},
                                   random);
      break;
    }
    case EditKind::kShape: {
      object.shape = draw(random, kNumShapes);
      const auto shape = phrasing.shape(object.shape);
      edit.instruction = one_of<2>({fmt::format("turn the {} into a {}", name, shape),
                                    fmt::format("replace the {} with a {}", name, shape)},
                                   random);
      break;
    }
    case EditKind::kSize:
      object.size = 1 - object.size;
      edit.instruction = fmt::format("make the {} {}", name, phrasing.size(object.size));
      break;
    case EditKind::kBackground: {
      edit.target.background = draw(random, kNumBackgrounds);
      const auto background = background_word(edit.target.background);
      edit.instruction = one_of<2>({fmt::format("make the background {}", background),
                                    fmt::format("change the background to {}", background)},
                                   random);
      break;
    }
    case EditKind::kSwap: {
      if (count < 2) return std::nullopt;
      const auto [a, b] = draw_pair(random, count);
      std::swap(edit.target.objects[a], edit.target.objects[b]);
      const std::string one = definite_name(scene, a, phrasing, random);
      const std::string other = definite_name(scene, b, phrasing, random);
      edit.instruction = fmt::format("swap the {} and the {}", one, other);
      break;
    }
    case EditKind::kRemove:
      if (count < 2) return std::nullopt;
      edit.target.objects.erase(edit.target.objects.begin() + static_cast<std::ptrdiff_t>(i));
      if (count == 2) edit.target.arrangement = Arrangement::kRow;
      edit.instruction = one_of<2>({"remove the " + name, "delete the " + name}, random);
      break;
    case EditKind::kAdd: {
      // Of one object the direction is not known; a fourth has no place.
      if (count != 2) return std::nullopt;
      const SceneObject added = random_object(random);
      const bool is_first = random.below(2) == 0;
      auto& objects = edit.target.objects;
      objects.insert(is_first ? objects.begin() : objects.end(), added);
      const bool row = scene.arrangement == Arrangement::kRow;
      const auto phrase =
          with_article(fmt::format("{} {} {}", phrasing.size(added.size), color_word(added.color),
                                   phrasing.shape(added.shape)));
      edit.instruction =
          fmt::format("add {} {} the {}", phrase, row ? "on" : "at",
                      row ? (is_first ? "left" : "right") : (is_first ? "top" : "bottom"));
      break;
    }
  }
  return edit;
}

}  // namespace

std::vector<Scene> exchanged_scenes(const Scene& scene) {
  std::vector<Scene> scenes;
  const auto keep = [&](Scene exchanged) {
    const bool is_new =
        !(exchanged == scene) && std::find(scenes.begin(), scenes.end(), exchanged) == scenes.end();
    if (is_new && is_valid(exchanged)) scenes.push_back(std::move(exchanged));
  };
  for (size_t i = 0; i < scene.objects.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      for (const auto attribute : {&SceneObject::size, &SceneObject::color, &SceneObject::shape}) {
        Scene exchanged = scene;
        exchange(exchanged, i, j, attribute);
        keep(std::move(exchanged));
      }
      Scene exchanged = scene;
      std::swap(exchanged.objects[i], exchanged.objects[j]);
      keep(std::move(exchanged));
    }
  }
  return scenes;
}

std::optional<Scene> random_neighbor(const Scene& scene, SceneSplit split, SplitMix64& random) {
  for (int i = 0; i < kMaxDraws; ++i) {
    Scene changed = scene;
    change_one_step(changed, random);
    if (!(changed == scene) && is_valid(changed) && split_of(changed) == split) return changed;
  }
  return std::nullopt;
}

std::optional<Edit> random_edit(const Scene& scene, EditKind kind, SceneSplit split,
                                SplitMix64& random) {
  for (int i = 0; i < kMaxDraws; ++i) {
    std::optional<Edit> edit = draw_edit(scene, kind, random);
    if (!edit) return std::nullopt;
    const Scene& target = edit->target;
    if (!(target == scene) && is_valid(target) && split_of(target) == split) return edit;
  }
  return std::nullopt;
}

}  // namespace e5v::detail
