#include "e5v/shapes/wording.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using Words = std::array<std::string_view, 2>;
constexpr std::array<Words, kNumSizes> kSizes = {{{"small", "tiny"}, {"large", "big"}}};
constexpr std::array<Words, kNumShapes> kShapes = {{{"circle", "disc"},
                                                    {"square", "box"},
                                                    {"triangle", "wedge"},
                                                    {"star", "starlet"},
                                                    {"cross", "plus"},
                                                    {"ring", "hoop"}}};
constexpr std::array<std::string_view, kNumColors> kColors = {"red",    "green",  "blue", "yellow",
                                                              "purple", "orange", "cyan", "pink"};
constexpr std::array<std::string_view, kNumBackgrounds> kBackgrounds = {"black", "gray", "white"};

constexpr int kOrders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

/// What "first" and "last" are called.
struct Ends {
  std::string_view first, last;
};
Ends ends_of(Arrangement arrangement) {
  return arrangement == Arrangement::kRow ? Ends{"left", "right"} : Ends{"top", "bottom"};
}

std::string at_end(const std::string& object, std::string_view end) {
  return fmt::format("{} {} the {}", object, end == "left" || end == "right" ? "on" : "at", end);
}

std::string list_of(const std::vector<std::string>& objects) {
  if (objects.size() == 1) return objects[0];
  if (objects.size() == 2) return objects[0] + " and " + objects[1];
  return fmt::format("{}, {} and {}", objects[0], objects[1], objects[2]);
}

std::string pair_relation(const std::string& a, const std::string& b, Arrangement arrangement,
                          int form) {
  const bool row = arrangement == Arrangement::kRow;
  const auto [first, last] = ends_of(arrangement);
  switch (form) {
    case 0:
    case 1:
    case 2:
      return row ? a + " left of " + b : a + " above " + b;
    case 3:
    case 4:
      return row ? a + " is to the left of " + b : a + " is over " + b;
    case 5:
    case 6:
    case 7:
      return row ? b + " right of " + a : b + " below " + a;
    case 8:
    case 9:
      return row ? b + " is to the right of " + a : b + " is under " + a;
    case 10:
    case 11:
    case 12:
      return fmt::format("from {} to {}: {} and {}", first, last, a, b);
    case 13:
    case 14:
    case 15:
      return fmt::format("from {} to {}: {} and {}", last, first, b, a);
    case 16:
    case 17:
      return fmt::format("{} and {} from {} to {}", a, b, first, last);
    case 18:
      return at_end(a, first) + " and " + at_end(b, last);
    default:
      return at_end(b, last) + " and " + at_end(a, first);
  }
}

std::string triple_relation(const std::vector<std::string>& objects, Arrangement arrangement,
                            int form) {
  const std::string &a = objects[0], &b = objects[1], &c = objects[2];
  const auto [first, last] = ends_of(arrangement);
  if (form < 5) return fmt::format("from {} to {}: {}, {} and {}", first, last, a, b, c);
  if (form < 10) return fmt::format("from {} to {}: {}, {} and {}", last, first, c, b, a);
  if (form < 13) return fmt::format("{}, {} and {} from {} to {}", a, b, c, first, last);
  std::string one = at_end(a, first), other = at_end(c, last);
  if (form % 2 == 0) std::swap(one, other);
  return form < 17 ? fmt::format("{} between {} and {}", b, one, other)
                   : fmt::format("{}, {} and {} between", one, other, b);
}

std::string object_phrase(const Description& description, size_t i, const Phrasing& phrasing) {
  const SceneObject& object = description.scene.objects[i];
  const bool has_size = description.omission != Omission::kSizes;
  const bool has_color =
      description.omission != Omission::kColor || static_cast<size_t>(description.object) != i;
  const std::string_view size = phrasing.size(object.size), color = color_word(object.color),
                         shape = phrasing.shape(object.shape);
  // The second form is "red disc that is small", without a size "disc that is red".
  const bool behind = phrasing.object_form == 1;
  if (has_size && has_color) {
    return with_article(behind ? fmt::format("{} {} that is {}", color, shape, size)
                               : fmt::format("{} {} {}", size, color, shape));
  }
  if (!has_size && !has_color) return with_article(shape);
  const std::string_view attribute = has_size ? size : color;
  return with_article(behind ? fmt::format("{} that is {}", shape, attribute)
                             : fmt::format("{} {}", attribute, shape));
}

/// True if object i of the first description and object j of the second may be the same one.
bool can_be_one(const Description& a, size_t i, const Description& b, size_t j) {
  const auto says_color = [](const Description& description, size_t object) {
    return description.omission != Omission::kColor ||
           static_cast<size_t>(description.object) != object;
  };
  const SceneObject &one = a.scene.objects[i], &other = b.scene.objects[j];
  const bool both_sizes = a.omission != Omission::kSizes && b.omission != Omission::kSizes;
  if (one.shape != other.shape) return false;
  if (both_sizes && one.size != other.size) return false;
  return !says_color(a, i) || !says_color(b, j) || one.color == other.color;
}

}  // namespace

std::string_view size_word(int size, bool second) {
  return kSizes[static_cast<size_t>(size)][second ? 1 : 0];
}
std::string_view color_word(int color) { return kColors[static_cast<size_t>(color)]; }
std::string_view shape_word(int shape, bool second) {
  return kShapes[static_cast<size_t>(shape)][second ? 1 : 0];
}
std::string_view background_word(int background) {
  return kBackgrounds[static_cast<size_t>(background)];
}
std::string_view arrangement_word(Arrangement arrangement) {
  return arrangement == Arrangement::kRow ? "row" : "column";
}

Phrasing Phrasing::random(SplitMix64& random) {
  Phrasing phrasing;
  phrasing.synonyms = static_cast<uint32_t>(random.below(uint64_t{1} << (kNumShapes + kNumSizes)));
  phrasing.object_form = random.below(10) < 7 ? 0 : 1;
  phrasing.relation_form = static_cast<int>(random.below(kNumRelationForms));
  const uint64_t percent = random.below(100);
  phrasing.background_form = percent < 40 ? 0 : percent < 70 ? 1 : 2;
  phrasing.order = static_cast<int>(random.below(std::size(kOrders)));
  return phrasing;
}

std::string with_article(std::string_view noun) {
  constexpr std::string_view kVowels = "aeio";
  const bool vowel = !noun.empty() && kVowels.find(noun[0]) != kVowels.npos;
  return fmt::format("{} {}", vowel ? "an" : "a", noun);
}

std::string caption(const Description& description, const Phrasing& phrasing) {
  const Scene& scene = description.scene;
  std::vector<std::string> objects;
  for (size_t i = 0; i < scene.objects.size(); ++i) {
    objects.push_back(object_phrase(description, i, phrasing));
  }
  std::string text;
  if (objects.size() == 1) {
    text = phrasing.relation_form < 12 ? objects[0] : "there is " + objects[0];
  } else if (description.omission == Omission::kRelation) {
    std::vector<std::string> shuffled;
    for (const int i : kOrders[phrasing.order]) {
      if (static_cast<size_t>(i) < objects.size()) shuffled.push_back(objects[i]);
    }
    text = list_of(shuffled);
  } else if (objects.size() == 2) {
    text = pair_relation(objects[0], objects[1], scene.arrangement, phrasing.relation_form);
  } else {
    text = triple_relation(objects, scene.arrangement, phrasing.relation_form);
  }
  if (description.omission == Omission::kBackground) return text;
  const std::string_view background = background_word(scene.background);
  switch (phrasing.background_form) {
    case 0:
      return fmt::format("{} on a {} background", text, background);
    case 1:
      return fmt::format("on a {} background {}", background, text);
    default:
      return fmt::format("{}. the background is {}", text, background);
  }
}

std::string caption(const Scene& scene, const Phrasing& phrasing) {
  return caption(Description{scene}, phrasing);
}

bool contradict(const Description& a, const Description& b) {
  const size_t count = a.scene.objects.size();
  if (b.scene.objects.size() != count) return true;
  const bool both_backgrounds =
      a.omission != Omission::kBackground && b.omission != Omission::kBackground;
  if (both_backgrounds && a.scene.background != b.scene.background) return true;
  const bool both_relations =
      a.omission != Omission::kRelation && b.omission != Omission::kRelation;
  if (both_relations && a.scene.arrangement != b.scene.arrangement) return true;
  // They agree if the objects of one can be matched with those of the other in some order.
  for (const auto& order : kOrders) {
    bool possible = true;
    for (size_t i = 0; i < count && possible; ++i) {
      const auto j = static_cast<size_t>(order[i]);
      possible = j < count && (!both_relations || i == j) && can_be_one(a, i, b, j);
    }
    if (possible) return false;
  }
  return true;
}

std::string definite_name(const Scene& scene, size_t object, const Phrasing& phrasing,
                          SplitMix64& random) {
  const SceneObject& named = scene.objects[object];
  const auto is_only = [&](int SceneObject::*attribute) {
    return std::count_if(scene.objects.begin(), scene.objects.end(), [&](const SceneObject& other) {
             return other.*attribute == named.*attribute;
           }) == 1;
  };
  const std::string_view color = color_word(named.color), shape = phrasing.shape(named.shape);
  const uint64_t percent = random.below(100);
  if (percent < 40 && is_only(&SceneObject::shape)) return std::string(shape);
  if (percent < 55 && is_only(&SceneObject::color)) return fmt::format("{} thing", color);
  return fmt::format("{} {}", color, shape);
}

}  // namespace e5v::detail
