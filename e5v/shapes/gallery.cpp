#include "e5v/shapes/gallery.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr size_t kGroupSize = 4;

using SceneKeys = std::unordered_set<uint64_t>;

/// Scenes tried for one more of a kind. A held-out split is small, and may have no more of them.
constexpr int kMaxAttempts = 200'000;

Omission random_omission(SplitMix64& random, bool has_relation) {
  constexpr std::array kOmissions = {Omission::kSizes, Omission::kBackground, Omission::kColor,
                                     Omission::kRelation};
  return kOmissions[random.below(has_relation ? 4 : 3)];
}

/// Kinds of edits for one scene: colours and shapes at most twice, others once, so that there are
/// scenes that allow them all.
std::vector<EditKind> draw_kinds(int64_t count, SplitMix64& random) {
  std::vector<EditKind> left = {EditKind::kColor, EditKind::kColor,  EditKind::kShape,
                                EditKind::kShape, EditKind::kSize,   EditKind::kBackground,
                                EditKind::kSwap,  EditKind::kRemove, EditKind::kAdd};
  std::vector<EditKind> kinds;
  while (static_cast<int64_t>(kinds.size()) < count) {
    const auto drawn = left.begin() + static_cast<std::ptrdiff_t>(random.below(left.size()));
    kinds.push_back(*drawn);
    left.erase(drawn);
  }
  return kinds;
}

/// Edits of `reference` of these kinds with new targets; nullopt where one cannot be made.
std::optional<ComposedGroup> edit_scene(Scene reference, const std::vector<EditKind>& kinds,
                                        SceneSplit split, const SceneKeys& taken,
                                        SplitMix64& random) {
  ComposedGroup group{std::move(reference), {}, {}};
  SceneKeys members = {scene_key(group.reference)};
  const auto is_new = [&](const Scene& scene) {
    return !taken.contains(scene_key(scene)) && members.insert(scene_key(scene)).second;
  };
  for (const EditKind kind : kinds) {
    std::optional<Edit> edit = random_edit(group.reference, kind, split, random);
    if (!edit || !is_new(edit->target)) return std::nullopt;
    group.edits.push_back(*std::move(edit));
  }
  std::optional<Scene> near_miss = random_neighbor(group.edits[0].target, split, random);
  if (!near_miss || !is_new(*near_miss)) return std::nullopt;
  group.near_miss = *std::move(near_miss);
  return group;
}

/// Scenes of which no two have the same `key`; `what` they are, for the message.
std::vector<CaptionedScene> gallery_of_distinct(uint64_t (*key)(const Scene&), const char* what,
                                                int64_t count, SceneSplit split,
                                                SplitMix64& random) {
  std::vector<CaptionedScene> gallery;
  SceneKeys taken;
  int attempts = 0;
  while (static_cast<int64_t>(gallery.size()) < count) {
    if (attempts++ == kMaxAttempts) {
      throw ConfigError(
          fmt::format("the split has no room for {} {}, only for about {}; ask for fewer scenes",
                      count, what, gallery.size()));
    }
    Scene scene = random_scene(random, split);
    if (!taken.insert(key(scene)).second) continue;
    attempts = 0;
    std::string text = caption(scene, Phrasing::random(random));
    gallery.push_back({std::move(scene), std::move(text)});
  }
  return gallery;
}

}  // namespace

std::vector<CaptionedScene> random_gallery(int64_t count, SceneSplit split, SplitMix64& random) {
  return gallery_of_distinct(scene_key, "distinct scenes", count, split, random);
}

std::vector<CaptionedScene> distinct_gallery(int64_t count, SceneSplit split, SplitMix64& random) {
  return gallery_of_distinct(attributes_key, "scenes of distinct attributes", count, split, random);
}

std::vector<CaptionedScene> hard_gallery(int64_t count, SceneSplit split, SplitMix64& random) {
  std::vector<CaptionedScene> gallery;
  SceneKeys taken;
  while (static_cast<int64_t>(gallery.size()) < count) {
    const Scene first = random_scene(random, split, 2);
    if (taken.contains(scene_key(first))) continue;
    std::vector<Scene> others = exchanged_scenes(first);
    std::erase_if(others, [&](const Scene& scene) { return taken.contains(scene_key(scene)); });
    if (others.size() + 1 < kGroupSize) continue;
    std::vector<Scene> group = {first};
    while (group.size() < kGroupSize) {
      const auto chosen = others.begin() + static_cast<std::ptrdiff_t>(random.below(others.size()));
      group.push_back(*chosen);
      others.erase(chosen);
    }
    const Phrasing phrasing = Phrasing::random(random);
    for (Scene& scene : group) {
      taken.insert(scene_key(scene));
      if (static_cast<int64_t>(gallery.size()) == count) break;
      std::string text = caption(scene, phrasing);
      gallery.push_back({std::move(scene), std::move(text)});
    }
  }
  return gallery;
}

std::vector<ComposedGroup> composed_groups(int64_t num_edits, SceneSplit split,
                                           SplitMix64& random) {
  std::vector<ComposedGroup> groups;
  SceneKeys taken;
  for (int64_t left = num_edits; left > 0; left -= kEditsPerGroup) {
    // Kinds are drawn before the scene: scenes are then tried until they allow these kinds. Drawn
    // after it, kinds whose targets are seldom in the split would be rarer than the others.
    const std::vector<EditKind> kinds = draw_kinds(std::min(left, kEditsPerGroup), random);
    std::optional<ComposedGroup> group;
    for (int attempt = 0; !group; ++attempt) {
      if (attempt == kMaxAttempts) {
        throw ConfigError(
            fmt::format("the split has no room for {} composed queries, only for about {}; ask for "
                        "fewer scenes",
                        num_edits, num_edits - left));
      }
      Scene reference = random_scene(random, split);
      if (taken.contains(scene_key(reference))) continue;
      group = edit_scene(std::move(reference), kinds, split, taken, random);
    }
    taken.insert(scene_key(group->reference));
    taken.insert(scene_key(group->near_miss));
    for (const Edit& edit : group->edits) taken.insert(scene_key(edit.target));
    groups.push_back(*std::move(group));
  }
  return groups;
}

CaptionTriplet random_triplet(SceneSplit split, SplitMix64& random) {
  for (;;) {
    const Scene scene = random_scene(random, split);
    const std::optional<Scene> neighbor = random_neighbor(scene, split, random);
    if (!neighbor) continue;
    const size_t count = scene.objects.size();
    Description positive{scene};
    if (random.below(10) < 3) {
      positive.omission = random_omission(random, count > 1);
      positive.object = static_cast<int>(random.below(count));
    }
    Description negative{*neighbor};
    if (random.below(2) == 0) {
      negative.omission = positive.omission;
      negative.object = positive.object;
    }
    const Description anchor{scene};
    if (!contradict(positive, negative) || !contradict(anchor, negative)) continue;
    const auto say = [&](const Description& description) {
      return caption(description, Phrasing::random(random));
    };
    CaptionTriplet triplet;
    triplet.anchor = say(anchor);
    triplet.positive = say(positive);
    triplet.negative = say(negative);
    return triplet;
  }
}

}  // namespace e5v::detail
