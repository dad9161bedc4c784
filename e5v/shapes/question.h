#pragma once

#include <string>

#include "e5v/base/random.h"
#include "e5v/shapes/scene.h"

namespace e5v::detail {

/// What has to be known to answer a question.
enum class QuestionKind {
  kColor,     ///< of a shape
  kShape,     ///< of a colour
  kSize,      ///< of an object
  kNeighbor,  ///< what is left of an object
  kPlace,     ///< what is at an end or in the middle
  kRelation,  ///< is this left of that
  kExists,    ///< is there a red disc: colour and shape of one object
  kCount,
  kBackground,
  kArrangement,
};
inline constexpr int kNumQuestionKinds = 10;

/// A question that the scene answers, and nothing but the answer, of one or two words.
struct Question {
  QuestionKind kind;
  std::string text;
  std::string answer;
};

/// Questions that need to know which attribute belongs to which object, and what is where, come
/// most often; half of the yes-or-no questions are true.
Question random_question(const Scene& scene, SplitMix64& random);

}  // namespace e5v::detail
