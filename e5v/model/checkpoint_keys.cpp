#include "e5v/model/checkpoint_keys.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

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

// llama.cpp's names, of modules.

struct GgufName {
  std::string_view canonical, gguf;
};

constexpr std::array kGgufLayers = {
    GgufName{"self_attn.q_proj", "attn_q"},
    GgufName{"self_attn.k_proj", "attn_k"},
    GgufName{"self_attn.v_proj", "attn_v"},
    GgufName{"self_attn.o_proj", "attn_output"},
    GgufName{"mlp.gate_proj", "ffn_gate"},
    GgufName{"mlp.up_proj", "ffn_up"},
    GgufName{"mlp.down_proj", "ffn_down"},
    GgufName{"input_layernorm", "attn_norm"},
    GgufName{"post_attention_layernorm", "ffn_norm"},
};

constexpr std::array kGgufTowerLayers = {
    GgufName{"self_attn.q_proj", "attn_q"}, GgufName{"self_attn.k_proj", "attn_k"},
    GgufName{"self_attn.v_proj", "attn_v"}, GgufName{"self_attn.out_proj", "attn_out"},
    GgufName{"layer_norm1", "ln1"},         GgufName{"layer_norm2", "ln2"},
    GgufName{"mlp.fc1", "ffn_up"},          GgufName{"mlp.fc2", "ffn_down"},
};

constexpr std::array kGgufOthers = {
    GgufName{"language_model.model.embed_tokens", "token_embd"},
    GgufName{"language_model.model.norm", "output_norm"},
    GgufName{"language_model.lm_head", "output"},
    GgufName{"vision_tower.vision_model.embeddings.class_embedding", "v.class_embd"},
    GgufName{"vision_tower.vision_model.embeddings.patch_embedding", "v.patch_embd"},
    GgufName{"vision_tower.vision_model.embeddings.position_embedding", "v.position_embd"},
    GgufName{"vision_tower.vision_model.pre_layrnorm", "v.pre_ln"},
    GgufName{"multi_modal_projector.linear_1", "mm.0"},
    GgufName{"multi_modal_projector.linear_2", "mm.2"},
    GgufName{"image_newline", "model.image_newline"},
};

template <size_t N>
std::optional<std::string> rename(std::string_view name, const std::array<GgufName, N>& table) {
  for (const GgufName& entry : table) {
    if (name == entry.canonical) return std::string(entry.gguf);
  }
  return std::nullopt;
}

/// "PREFIX12.rest" as {"12", "rest"}.
std::optional<std::pair<std::string, std::string>> split_layer(std::string_view name,
                                                               std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  return std::pair{std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

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

std::string gguf_module(const std::string& module) {
  if (const auto layer = split_layer(module, "language_model.model.layers.")) {
    if (const auto name = rename(layer->second, kGgufLayers)) {
      return fmt::format("blk.{}.{}", layer->first, *name);
    }
  }
  if (const auto layer = split_layer(module, "vision_tower.vision_model.encoder.layers.")) {
    if (const auto name = rename(layer->second, kGgufTowerLayers)) {
      return fmt::format("v.blk.{}.{}", layer->first, *name);
    }
  }
  return rename(module, kGgufOthers).value_or(module);
}

std::string gguf_key(const std::string& name) {
  for (const std::string_view end : {".weight", ".bias"}) {
    if (name.ends_with(end)) {
      return gguf_module(name.substr(0, name.size() - end.size())) + std::string(end);
    }
  }
  return gguf_module(name);
}

}  // namespace e5v
