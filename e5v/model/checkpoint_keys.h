#pragma once

#include <string>
#include <string_view>

namespace e5v {

/// The name that a tensor has in a published checkpoint (transformers 4.41:
/// `language_model.model.…`, `vision_tower.vision_model.…`, `multi_modal_projector.…`,
/// `image_newline`), given its name in any layout in circulation. A name that no rule knows comes
/// back as it is.
std::string canonical_key(std::string_view key);

/// The same for the module names of a PEFT adapter, e.g.
/// `base_model.model.model.layers.0.mlp.up_proj` where the adapter was made on the language model
/// alone.
std::string canonical_adapter_module(std::string_view module);

/// The name that llama.cpp gives the module of that canonical name (a tensor's without `.weight` or
/// `.bias`). A module that it does not know keeps its name.
std::string gguf_module(const std::string& module);

/// The same for a tensor, e.g. `blk.0.attn_q.weight`.
std::string gguf_key(const std::string& name);

}  // namespace e5v
