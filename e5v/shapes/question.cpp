#include "e5v/shapes/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "e5v/shapes/wording.h"

namespace e5v::detail {
namespace {

/// Asks questions of one scene; a kind that does not apply gives none.
class Questioner {
 public:
  Questioner(const Scene& scene, SplitMix64& random)
      : scene_(scene),
        random_(random),
        phrasing_(Phrasing::random(random)),
        is_row_(scene.arrangement == Arrangement::kRow),
        count_(scene.objects.size()) {}

  std::optional<Question> ask(QuestionKind kind) {
    const auto is = [kind](std::string text, std::string_view answer) {
      return Question{kind, std::move(text), std::string(answer)};
    };
    const size_t i = random_.below(count_);
    const SceneObject& object = scene_.objects[i];
    const std::string_view shape = phrasing_.shape(object.shape);
    switch (kind) {
      case QuestionKind::kColor:
        if (!is_only(object, &SceneObject::shape)) return std::nullopt;
        return is(fmt::format("what color is the {}?", shape), color_word(object.color));
      case QuestionKind::kShape:
        if (!is_only(object, &SceneObject::color)) return std::nullopt;
        return is(fmt::format("what shape is the {} thing?", color_word(object.color)),
                  shape_word(object.shape));
      case QuestionKind::kSize:
        return is(fmt::format("what size is the {}?", color_and_shape(object)),
                  size_word(object.size));
      case QuestionKind::kNeighbor:
        return ask_neighbor(i);
      case QuestionKind::kPlace:
        return ask_place(i);
      case QuestionKind::kRelation:
        return ask_relation(i);
      case QuestionKind::kExists:
        return ask_exists(i);
      case QuestionKind::kCount: {
        constexpr std::array<std::string_view, kMaxObjects> kNumbers = {"one", "two", "three"};
        return is("how many things?", kNumbers[count_ - 1]);
      }
      case QuestionKind::kBackground:
        return is("what color is the background?", background_word(scene_.background));
      case QuestionKind::kArrangement:
        if (count_ < 2) return std::nullopt;
        return is("a row or a column?", arrangement_word(scene_.arrangement));
    }
    return std::nullopt;
  }

 private:
  bool is_only(const SceneObject& object, int SceneObject::*attribute) const {
    return std::count_if(scene_.objects.begin(), scene_.objects.end(),
                         [&](const SceneObject& other) {
                           return other.*attribute == object.*attribute;
                         }) == 1;
  }

  std::string color_and_shape(const SceneObject& object) const {
    return fmt::format("{} {}", color_word(object.color), phrasing_.shape(object.shape));
  }

  /// As an answer: always the first of two words for a shape.
  static std::string plain_name(const SceneObject& object) {
    return fmt::format("{} {}", color_word(object.color), shape_word(object.shape));
  }

  std::string name(size_t i) { return definite_name(scene_, i, phrasing_, random_); }

  std::string_view before(bool row) const { return row ? "left of" : "above"; }
  std::string_view behind(bool row) const { return row ? "right of" : "below"; }

  std::optional<Question> ask_neighbor(size_t i) {
    const bool asks_before = random_.below(2) == 0;
    if (asks_before ? i == 0 : i + 1 == count_) return std::nullopt;
    const SceneObject& neighbor = scene_.objects[asks_before ? i - 1 : i + 1];
    // Of three in a row two are left of the last: "directly" says which is meant.
    const std::string_view place = asks_before ? before(is_row_) : behind(is_row_);
    return Question{QuestionKind::kNeighbor,
                    fmt::format("what is directly {} the {}?", place, name(i)),
                    plain_name(neighbor)};
  }

  std::optional<Question> ask_place(size_t i) {
    if (count_ < 2) return std::nullopt;
    const bool is_middle = count_ == 3 && i == 1;
    const std::string_view place = is_middle ? "in the middle"
                                   : i == 0  ? (is_row_ ? "on the left" : "at the top")
                                             : (is_row_ ? "on the right" : "at the bottom");
    const SceneObject& object = scene_.objects[i];
    const auto is = [](std::string text, std::string answer) {
      return Question{QuestionKind::kPlace, std::move(text), std::move(answer)};
    };
    switch (random_.below(3)) {
      case 0:
        return is(fmt::format("what color is the thing {}?", place),
                  std::string(color_word(object.color)));
      case 1:
        return is(fmt::format("what shape is the thing {}?", place),
                  std::string(shape_word(object.shape)));
      default:
        return is(fmt::format("what is {}?", place), plain_name(object));
    }
  }

  std::optional<Question> ask_relation(size_t i) {
    if (count_ < 2) return std::nullopt;
    const size_t j = (i + 1 + random_.below(count_ - 1)) % count_;
    const bool asks_before = random_.below(2) == 0;
    const bool asks_other_direction = random_.below(5) == 0;
    const bool row = is_row_ != asks_other_direction;
    const bool holds = !asks_other_direction && (i < j) == asks_before;
    const std::string one = name(i), other = name(j);  // in this order, whatever the compiler
    return Question{
        QuestionKind::kRelation,
        fmt::format("is the {} {} the {}?", one, asks_before ? before(row) : behind(row), other),
        holds ? "yes" : "no"};
  }

  std::optional<Question> ask_exists(size_t i) {
    SceneObject asked = scene_.objects[i];
    if (random_.below(2) == 0) {
      // The colour of one object with the shape of another: only their binding tells.
      if (count_ > 1 && random_.below(5) < 3) {
        asked.shape = scene_.objects[(i + 1 + random_.below(count_ - 1)) % count_].shape;
      } else {
        asked = random_object(random_);
      }
    }
    const bool exists =
        std::any_of(scene_.objects.begin(), scene_.objects.end(), [&](const SceneObject& object) {
          return object.color == asked.color && object.shape == asked.shape;
        });
    return Question{QuestionKind::kExists,
                    fmt::format("is there {}?", with_article(color_and_shape(asked))),
                    exists ? "yes" : "no"};
  }

  const Scene& scene_;
  SplitMix64& random_;
  Phrasing phrasing_;
  bool is_row_;
  size_t count_;
};

}  // namespace

Question random_question(const Scene& scene, SplitMix64& random) {
  constexpr std::array kKinds = {
      QuestionKind::kColor,      QuestionKind::kColor,      QuestionKind::kColor,
      QuestionKind::kShape,      QuestionKind::kShape,      QuestionKind::kShape,
      QuestionKind::kSize,       QuestionKind::kSize,       QuestionKind::kNeighbor,
      QuestionKind::kNeighbor,   QuestionKind::kNeighbor,   QuestionKind::kPlace,
      QuestionKind::kPlace,      QuestionKind::kPlace,      QuestionKind::kPlace,
      QuestionKind::kRelation,   QuestionKind::kRelation,   QuestionKind::kExists,
      QuestionKind::kExists,     QuestionKind::kExists,     QuestionKind::kCount,
      QuestionKind::kBackground, QuestionKind::kArrangement};
  Questioner questioner(scene, random);
  for (;;) {
    const QuestionKind kind = kKinds[random.below(kKinds.size())];
    if (std::optional<Question> question = questioner.ask(kind)) return *std::move(question);
  }
}

}  // namespace e5v::detail
