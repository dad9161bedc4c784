#include "e5v/shapes/conversation.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string_view>

#include "e5v/shapes/change.h"
#include "e5v/shapes/question.h"
#include "e5v/shapes/wording.h"

namespace e5v::detail {
namespace {

constexpr int kTextQuestions = 6, kPictureQuestions = 4, kTextDescriptions = 3;

std::string random_caption(const Scene& scene, SplitMix64& random) {
  return caption(scene, Phrasing::random(random));
}

/// How many times each word of an object is among a scene's words, by the object's place in reading
/// order. Each place has half the weight of the one before: so the words' probabilities tell which
/// words belong to one object, and in which order the objects stand.
constexpr std::array<int, kMaxObjects> kPlaceWeights = {4, 2, 1};
/// The same for words about the whole scene: background and arrangement.
constexpr int kSceneWeight = 2;

/// The scene's words, each repeated by its weight. An attribute with two synonyms gives both; one
/// without gives its word twice, so that all attributes weigh the same.
std::vector<std::string> words_of(const Scene& scene) {
  std::vector<std::string> words;
  const auto add = [&words](int weight, std::string_view word) {
    words.insert(words.end(), static_cast<size_t>(weight), std::string(word));
  };
  for (const bool second : {false, true}) {
    add(kSceneWeight, background_word(scene.background));
    if (scene.objects.size() > 1) add(kSceneWeight, arrangement_word(scene.arrangement));
    for (size_t i = 0; i < scene.objects.size(); ++i) {
      const SceneObject& object = scene.objects[i];
      add(kPlaceWeights[i], size_word(object.size, second));
      add(kPlaceWeights[i], color_word(object.color));
      add(kPlaceWeights[i], shape_word(object.shape, second));
    }
  }
  return words;
}

SceneConversation ask(const Scene& scene, const std::string& before, int count,
                      SplitMix64& random) {
  SceneConversation turns;
  for (int i = 0; i < count; ++i) {
    Question question = random_question(scene, random);
    turns.push_back(
        {i == 0 ? before + question.text : std::move(question.text), {std::move(question.answer)}});
  }
  return turns;
}

/// nullopt if none was found in a fixed number of attempts: a small split has few of the scenes
/// that are one edit away.
std::optional<Edit> any_edit(const Scene& scene, SceneSplit split, SplitMix64& random) {
  constexpr int kDraws = 20;
  for (int i = 0; i < kDraws; ++i) {
    const auto kind = static_cast<EditKind>(random.below(7));
    if (auto edit = random_edit(scene, kind, split, random)) return edit;
  }
  return std::nullopt;
}

/// What the prompts call the caption: E5-V's prompts say "sentence" of texts and "image" of
/// pictures, and the text stands for either.
std::string_view random_noun(SplitMix64& random) {
  return random.below(2) == 0 ? "sentence" : "image";
}

/// Asks what `text` becomes by an edit of its scene: the new scene's words or a caption of it.
/// nullopt if no edit was found.
std::optional<SceneConversation> edit_text(const Scene& scene, const std::string& text,
                                           std::string_view noun, bool asks_words, SceneSplit split,
                                           SplitMix64& random) {
  const std::optional<Edit> edit = any_edit(scene, split, random);
  if (!edit) return std::nullopt;
  // sic: the paper's prompt for CIRR says "desribe".
  std::string prompt = fmt::format("{}\nModify this {} with \"{}\", desribe modified {}", text,
                                   noun, edit->instruction, noun);
  if (asks_words) return SceneConversation{{prompt + " in one word:", words_of(edit->target)}};
  return SceneConversation{{prompt + ":", {random_caption(edit->target, random)}}};
}

}  // namespace

SceneConversation random_text_conversation(SceneSplit split, SplitMix64& random) {
  const Scene scene = random_scene(random, split);
  const std::string text = random_caption(scene, random);
  const std::string_view noun = random_noun(random);
  const uint64_t percent = random.below(100);
  if (percent < 50) return ask(scene, text + "\n", kTextQuestions, random);
  if (percent < 65) {
    const std::string request = fmt::format("Describe above {}:", noun);
    SceneConversation turns;
    for (int i = 0; i < kTextDescriptions; ++i) {
      turns.push_back({i == 0 ? text + "\n" + request : request, {random_caption(scene, random)}});
    }
    return turns;
  }
  if (percent < 77) {
    return {{fmt::format("{}\nSummary above {} in one word:", text, noun), words_of(scene)}};
  }
  // A scene without an edit is replaced by another one.
  auto turns = edit_text(scene, text, noun, /*asks_words=*/percent >= 90, split, random);
  return turns ? *std::move(turns) : random_text_conversation(split, random);
}

SceneConversation random_text_edit(SceneSplit split, SplitMix64& random) {
  for (;;) {
    const Scene scene = random_scene(random, split);
    const std::string text = random_caption(scene, random);
    const std::string_view noun = random_noun(random);
    const bool asks_words = random.below(3) > 0;
    if (auto turns = edit_text(scene, text, noun, asks_words, split, random)) {
      return *std::move(turns);
    }
  }
}

SceneConversation describe_picture(const Scene& scene, SplitMix64& random) {
  return {{"Describe above image:", {random_caption(scene, random)}}};
}

SceneConversation question_picture(const Scene& scene, SplitMix64& random) {
  return ask(scene, "", kPictureQuestions, random);
}

SceneConversation name_picture(const Scene& scene) {
  return {{"Summary above image in one word:", words_of(scene)}};
}

}  // namespace e5v::detail
