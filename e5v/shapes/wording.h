#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "e5v/base/random.h"
#include "e5v/shapes/scene.h"

namespace e5v::detail {

/// The words for an attribute; sizes and shapes have two synonyms each.
std::string_view size_word(int size, bool second = false);
std::string_view color_word(int color);
std::string_view shape_word(int shape, bool second = false);
std::string_view background_word(int background);
std::string_view arrangement_word(Arrangement arrangement);

/// Every choice that a caption leaves open: which synonyms, which form of sentence, which order.
/// The same phrasing puts scenes that share their words into sentences that share them, too.
struct Phrasing {
  uint32_t synonyms = 0;    ///< bit i: the second word of shape i; bit kNumShapes + i: of size i
  int object_form = 0;      ///< 0 "small red disc", 1 "red disc that is small"
  int relation_form = 0;    ///< below kNumRelationForms
  int background_form = 0;  ///< 0 behind, 1 in front, 2 a sentence of its own
  int order = 0;            ///< of objects where no relation is said; below 6

  static constexpr int kNumRelationForms = 20;
  static Phrasing random(SplitMix64& random);

  std::string_view size(int size) const { return size_word(size, bit(kNumShapes + size)); }
  std::string_view shape(int shape) const { return shape_word(shape, bit(shape)); }

 private:
  bool bit(int i) const { return (synonyms >> i & 1) != 0; }
};

/// What a description does not say.
enum class Omission { kNothing, kSizes, kBackground, kRelation, kColor };

/// What a caption says about a scene: all of it, or all but one kind of fact.
struct Description {
  Scene scene;
  Omission omission = Omission::kNothing;
  int object = 0;  ///< whose colour is left out, for Omission::kColor
};

/// The caption, e.g. "a small red disc left of a large blue box on a gray background". A caption
/// without omission fits no other scene.
std::string caption(const Description& description, const Phrasing& phrasing);
std::string caption(const Scene& scene, const Phrasing& phrasing);

/// True if no scene fits both descriptions.
bool contradict(const Description& a, const Description& b);

/// "a red disc", "an orange disc".
std::string with_article(std::string_view noun);

/// A name for an object of the scene that no other object of it has, as short as possible or
/// longer: "disc", "red thing", "red disc".
std::string definite_name(const Scene& scene, size_t object, const Phrasing& phrasing,
                          SplitMix64& random);

}  // namespace e5v::detail
