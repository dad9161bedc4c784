#pragma once

#include <memory>
#include <string>

#include "e5v/embed/clip_embedder.h"
#include "e5v/eval/parts_system.h"
#include "e5v/eval/system.h"

namespace e5v::detail {

/// SEARLE's sentence: `$` stands for the picture's pseudo-word, `<sent>` for the text.
inline constexpr const char* kSearleTemplate = "a photo of $ that <sent>";

/// CLIP; with kPseudoWord SEARLE, for which the embedder must have φ. Throws ConfigError where φ or
/// a placeholder of `searle_template` is missing.
std::unique_ptr<System> make_clip_system(ClipEmbedderOptions embedder, Composition composition,
                                         const SystemOptions& options,
                                         const std::string& searle_template = kSearleTemplate);

}  // namespace e5v::detail
