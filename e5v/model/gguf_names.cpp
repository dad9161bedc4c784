#include "e5v/model/gguf_names.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <utility>

namespace e5v::detail {
namespace {

std::optional<std::string> find_name(std::string_view name,
                                     const std::vector<GgufNames::Name>& table) {
  for (const GgufNames::Name& entry : table) {
    if (name == entry.canonical) return entry.gguf;
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

}  // namespace

std::string GgufNames::module(const std::string& name) const {
  for (const Layers& of : layers) {
    const auto layer = split_layer(name, of.canonical_prefix);
    if (!layer) continue;
    if (const auto found = find_name(layer->second, of.modules)) {
      return fmt::format("{}{}.{}", of.gguf_prefix, layer->first, *found);
    }
  }
  return find_name(name, others).value_or(name);
}

std::string GgufNames::tensor(const std::string& name) const {
  for (const std::string_view end : {".weight", ".bias"}) {
    if (name.ends_with(end)) {
      return module(name.substr(0, name.size() - end.size())) + std::string(end);
    }
  }
  return module(name);
}

std::vector<GgufNames::Name> gguf_llama_layer() {
  return {{"self_attn.q_proj", "attn_q"},          {"self_attn.k_proj", "attn_k"},
          {"self_attn.v_proj", "attn_v"},          {"self_attn.o_proj", "attn_output"},
          {"mlp.gate_proj", "ffn_gate"},           {"mlp.up_proj", "ffn_up"},
          {"mlp.down_proj", "ffn_down"},           {"input_layernorm", "attn_norm"},
          {"post_attention_layernorm", "ffn_norm"}};
}

std::vector<GgufNames::Name> gguf_clip_layer() {
  return {{"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
          {"self_attn.v_proj", "attn_v"}, {"self_attn.out_proj", "attn_out"},
          {"layer_norm1", "ln1"},         {"layer_norm2", "ln2"},
          {"mlp.fc1", "ffn_up"},          {"mlp.fc2", "ffn_down"}};
}

}  // namespace e5v::detail
