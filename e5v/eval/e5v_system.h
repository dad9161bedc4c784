#pragma once

#include <memory>
#include <string>

#include "e5v/embed/embedder.h"
#include "e5v/eval/system.h"

namespace e5v::detail {

/// Prompts of an experiment, which take the place of the task's own; chat template included.
struct PromptOverride {
  std::string name;
  std::string text, image, composed;  ///< empty = the task's
};

/// An e5v model. `embedder.normalize` and its EXIF rule are set to what the protocols need.
std::unique_ptr<System> make_e5v_system(EmbedderOptions embedder, const SystemOptions& options,
                                        const PromptOverride& prompts = {});

}  // namespace e5v::detail
