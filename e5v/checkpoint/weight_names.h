#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// What a part of a model does, whatever its family calls it.
enum class PartKind {
  kVisionTower,
  kProjector,  ///< from the tower's states to tokens: all that is learned between the two
  kTextModel,  ///< the language model, its table and head included
  kTextTower,  ///< of a model with two towers
  kOther,
};

/// How a family of models names its weights in checkpoints.
///
/// A weight's canonical name is the one in the family's first published checkpoints. Program and
/// adapters know it by that; files are read in any layout in circulation.
struct WeightNames {
  struct Renaming {
    std::string prefix, canonical;
  };
  struct Part {
    std::string prefix;  ///< of the canonical names of its weights
    PartKind kind;
    std::string title;  ///< for people
  };

  /// From each layout in circulation to canonical names. The first prefix that matches counts, so
  /// longer ones stand before those that they begin with.
  std::vector<Renaming> renamings;
  /// The first prefix that matches counts.
  std::vector<Part> parts;
  /// Canonical prefix of the language model's layers, up to their number; empty: has none.
  std::string text_layers;
  /// Canonical names of the token table and of the head; empty: has none.
  std::string embed_tokens, lm_head;
  /// What an adapter of the language model alone calls its layers ("model.layers."), up to their
  /// number.
  std::string text_layers_alone;

  /// A name that no rule knows comes back as it is.
  std::string canonical(std::string_view name) const;

  /// The one of `stored` names that `canonical_name` has in a file; nullopt where it has none.
  std::optional<std::string> find_stored(const std::vector<std::string>& stored,
                                         std::string_view canonical_name) const;

  /// As `canonical`, for a module of a PEFT adapter, e.g.
  /// `base_model.model.model.layers.0.mlp.up_proj` where the adapter was made on the language model
  /// alone.
  std::string canonical_adapter_module(std::string_view module) const;

  // Of canonical names.

  PartKind kind_of(std::string_view name) const;
  bool in_text_model(std::string_view name) const { return kind_of(name) == PartKind::kTextModel; }
  /// The title of the weight's part; "" where no part has it.
  std::string_view title_of(std::string_view name) const;
  /// The number of the language model's layer that the weight is in.
  std::optional<int64_t> text_layer(std::string_view name) const;
  /// Prefixes of all parts of that kind.
  std::vector<std::string> prefixes_of(PartKind kind) const;
};

/// Of files that hold one module, under its own names.
const WeightNames& plain_weight_names();

}  // namespace e5v::detail
