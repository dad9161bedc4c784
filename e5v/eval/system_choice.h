#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/embed/embedder.h"
#include "e5v/eval/clip_system.h"
#include "e5v/eval/e5v_system.h"
#include "e5v/eval/parts_system.h"
#include "e5v/eval/system.h"
#include "e5v/eval/vectors_system.h"

namespace e5v::detail {

enum class SystemKind { kE5v, kClip, kSearle, kVectors };

/// Which system an evaluation measures, and how that is set up.
struct SystemChoice {
  SystemKind kind = SystemKind::kE5v;
  /// Of e5v; a CLIP takes model, precision and threads of it.
  EmbedderOptions embedder;
  /// Weights of SEARLE's textual inversion network.
  std::filesystem::path phi;
  Composition composition = Composition::kWhole;
  std::string searle_template = kSearleTemplate;
  /// Of CLIP and SEARLE, as ClipEmbedderOptions has it.
  double target_pad = 0;
  VectorFiles vectors;
  /// Folder of the embedding cache; empty = e5v/embeddings in XDG's cache folder.
  std::filesystem::path cache;
  bool use_cache = true;
  /// As TextImageOptions has it.
  std::filesystem::path font;
  std::function<void(const std::string& message)> on_warning;
  EmbedProgress on_progress;

  /// Declares all of these but --precision.
  void register_options(OptionRegistry& registry);
  /// Throws ConfigError where a CLIP has no model folder.
  void validate() const;

  /// The system. Throws as the embedders do.
  std::unique_ptr<System> make() const;
  /// What the modality gap is measured under: the system as it is used and, of e5v, without its
  /// prompt (key "no_prompt") and without its adapter ("untrained").
  std::vector<SystemVariant> gap_variants() const;
  /// An e5v model under each of these prompts, around which its chat template is put. Throws
  /// ConfigError for another system.
  std::vector<SystemVariant> prompt_variants(const std::vector<PromptOverride>& prompts) const;

 private:
  std::unique_ptr<System> make_e5v(const PromptOverride& prompts, bool with_adapter) const;
  std::unique_ptr<System> make_clip() const;
  SystemOptions system_options() const;
  PromptOverride in_chat(const PromptOverride& plain) const;
};

}  // namespace e5v::detail
