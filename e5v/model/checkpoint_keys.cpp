#include "e5v/model/checkpoint_keys.h"

#include <array>

namespace e5v {
namespace {

struct Renaming {
  std::string_view prefix, canonical;
};

/// The first matching prefix counts, so longer ones stand before those that they begin with.
constexpr std::array kRenamings = {
    // Published, transformers up to 4.51.
    Renaming{"language_model.model.", "language_model.model."},
    Renaming{"language_model.lm_head.", "language_model.lm_head."},
    Renaming{"vision_tower.vision_model.", "vision_tower.vision_model."},
    // 5.x, save_pretrained: as published, but for the tower.
    Renaming{"vision_tower.", "vision_tower.vision_model."},
    // 4.52 and later, in memory.
    Renaming{"model.language_model.", "language_model.model."},
    Renaming{"model.vision_tower.vision_model.", "vision_tower.vision_model."},
    Renaming{"model.multi_modal_projector.", "multi_modal_projector."},
    Renaming{"model.image_newline", "image_newline"},
    Renaming{"lm_head.", "language_model.lm_head."},
    // 5.x, in memory.
    Renaming{"model.vision_tower.", "vision_tower.vision_model."},
};

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

std::string canonical_key(std::string_view key) {
  for (const Renaming& renaming : kRenamings) {
    if (starts_with(key, renaming.prefix)) {
      return std::string(renaming.canonical) + std::string(key.substr(renaming.prefix.size()));
    }
  }
  return std::string(key);
}

std::string canonical_adapter_module(std::string_view module) {
  constexpr std::string_view kPeftPrefix = "base_model.model.";
  if (starts_with(module, kPeftPrefix)) module.remove_prefix(kPeftPrefix.size());
  constexpr std::string_view kLanguageModelAlone = "model.layers.";
  if (starts_with(module, kLanguageModelAlone)) return "language_model." + std::string(module);
  return canonical_key(module);
}

}  // namespace e5v
