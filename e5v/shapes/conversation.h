#pragma once

#include <string>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/shapes/scene.h"

namespace e5v::detail {

/// What a model is asked about a scene, and the answer.
struct SceneTurn {
  std::string prompt;
  /// One answer, or words of which any is right; a word that stands here twice is twice as likely.
  std::vector<std::string> answers;
};
using SceneConversation = std::vector<SceneTurn>;

/// A conversation about a scene of `split`, given as a caption at the beginning of the first
/// prompt. In half of the cases it asks six questions; else for three other captions, for the
/// scene's words (by E5-V's prompt), or for a caption or the words of the scene after an edit.
SceneConversation random_text_conversation(SceneSplit split, SplitMix64& random);

/// Only conversations about the scene after an edit, which are the hardest to learn: two thirds ask
/// for its words, one third for a caption.
SceneConversation random_text_edit(SceneSplit split, SplitMix64& random);

/// Asks for a description of a picture of `scene`.
SceneConversation describe_picture(const Scene& scene, SplitMix64& random);
/// Asks four questions about a picture of `scene`.
SceneConversation question_picture(const Scene& scene, SplitMix64& random);
/// Asks for the words of a picture of `scene`, by E5-V's prompt.
SceneConversation name_picture(const Scene& scene);

}  // namespace e5v::detail
