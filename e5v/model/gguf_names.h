#pragma once

#include <string>
#include <vector>

namespace e5v::detail {

/// llama.cpp's names for a model's weights: a file of the language model, and one of the vision
/// tower and projector ("mmproj").
struct GgufNames {
  struct Name {
    std::string canonical, gguf;  ///< of modules: a weight's without `.weight` or `.bias`
  };
  /// Modules under PREFIX12.: "blk.12." and what `modules` say.
  struct Layers {
    std::string canonical_prefix, gguf_prefix;
    std::vector<Name> modules;
  };

  /// `general.architecture` of the two files.
  std::string model_architecture, mmproj_architecture;
  std::vector<Layers> layers;
  std::vector<Name> others;
  /// Whether rows of q and k are interleaved (llama.cpp turns neighbouring values where
  /// transformers turns halves).
  bool interleaves_rotary = false;

  /// The name of the module of that canonical name. A module that it does not know keeps its name.
  std::string module(const std::string& name) const;
  /// The same for a tensor, e.g. `blk.0.attn_q.weight`.
  std::string tensor(const std::string& name) const;
};

/// Of the layers of a Llama-shaped language model.
std::vector<GgufNames::Name> gguf_llama_layer();
/// Of the layers of CLIP's and SigLIP's towers.
std::vector<GgufNames::Name> gguf_clip_layer();

}  // namespace e5v::detail
