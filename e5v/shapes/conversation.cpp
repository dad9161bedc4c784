#include "e5v/shapes/conversation.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "e5v/shapes/change.h"
#include "e5v/shapes/question.h"
#include "e5v/shapes/wording.h"

namespace e5v {
namespace {

constexpr int kTextQuestions = 6, kPictureQuestions = 4;

std::string random_caption(const Scene& scene, SplitMix64& random) {
  return caption(scene, Phrasing::random(random));
}

/// Any of the words that say what the scene has.
std::string random_word(const Scene& scene, SplitMix64& random) {
  const Phrasing phrasing = Phrasing::random(random);
  const uint64_t drawn = random.below(1 + 3 * scene.objects.size());
  if (drawn == 0) return std::string(background_word(scene.background));
  const SceneObject& object = scene.objects[(drawn - 1) / 3];
  switch ((drawn - 1) % 3) {
    case 0:
      return std::string(phrasing.size(object.size));
    case 1:
      return std::string(color_word(object.color));
    default:
      return std::string(phrasing.shape(object.shape));
  }
}

SceneConversation ask(const Scene& scene, const std::string& before, int count,
                      SplitMix64& random) {
  SceneConversation turns;
  for (int i = 0; i < count; ++i) {
    Question question = random_question(scene, random);
    turns.push_back(
        {i == 0 ? before + question.text : std::move(question.text), std::move(question.answer)});
  }
  return turns;
}

Edit any_edit(const Scene& scene, SceneSplit split, SplitMix64& random) {
  for (;;) {
    const auto kind = static_cast<EditKind>(random.below(7));
    if (auto edit = random_edit(scene, kind, split, random)) return *std::move(edit);
  }
}

}  // namespace

SceneConversation random_text_conversation(SceneSplit split, SplitMix64& random) {
  const Scene scene = random_scene(random, split);
  const std::string text = random_caption(scene, random);
  const std::string_view noun = random.below(2) == 0 ? "sentence" : "image";
  const uint64_t percent = random.below(100);
  if (percent < 50) return ask(scene, text + "\n", kTextQuestions, random);
  if (percent < 65) {
    return {{fmt::format("{}\nDescribe above {}:", text, noun), random_caption(scene, random)}};
  }
  if (percent < 77) {
    return {
        {fmt::format("{}\nSummary above {} in one word:", text, noun), random_word(scene, random)}};
  }
  const Edit edit = any_edit(scene, split, random);
  // "desribe" as the prompts of composed retrieval have it.
  if (percent < 90) {
    return {{fmt::format("{}\nModify this {} with \"{}\", desribe modified {}:", text, noun,
                         edit.instruction, noun),
             random_caption(edit.target, random)}};
  }
  return {{fmt::format("{}\nModify this {} with \"{}\", desribe modified {} in one word:", text,
                       noun, edit.instruction, noun),
           random_word(edit.target, random)}};
}

SceneConversation describe_picture(const Scene& scene, SplitMix64& random) {
  return {{"Describe above image:", random_caption(scene, random)}};
}

SceneConversation question_picture(const Scene& scene, SplitMix64& random) {
  return ask(scene, "", kPictureQuestions, random);
}

SceneConversation name_picture(const Scene& scene, SplitMix64& random) {
  return {{"Summary above image in one word:", random_word(scene, random)}};
}

}  // namespace e5v
