#pragma once

#include <string>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/shapes/scene.h"

namespace e5v {

/// What a model is asked about a scene, and the answer.
struct SceneTurn {
  std::string prompt;
  std::vector<std::string> answers;  ///< one, or words, each as likely as often as it stands here
};
using SceneConversation = std::vector<SceneTurn>;

/// A conversation about a caption of a scene of `split`, which the first prompt begins with: in
/// half of the cases six questions, else three other captions of it, its words (asked by the prompt
/// of E5-V), or a caption or the words of the scene that an edit makes of it.
SceneConversation random_text_conversation(SceneSplit split, SplitMix64& random);

/// The last of these alone, two of three times the words: what is hardest to learn.
SceneConversation random_text_edit(SceneSplit split, SplitMix64& random);

/// About a picture of `scene`: its description.
SceneConversation describe_picture(const Scene& scene, SplitMix64& random);
/// Four questions.
SceneConversation question_picture(const Scene& scene, SplitMix64& random);
/// Its words, asked by the prompt of E5-V.
SceneConversation name_picture(const Scene& scene);

}  // namespace e5v
