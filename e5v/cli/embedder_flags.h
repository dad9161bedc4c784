#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/cli/commands.h"
#include "e5v/embed/embedder.h"

namespace e5v::detail {

/// Declares --precision, with every precision there is.
void register_precision(OptionRegistry& registry, Precision& precision);
/// Declares it with those that are given.
void register_precision(OptionRegistry& registry, Precision& precision,
                        const std::vector<Precision>& choices, std::string_view help);

/// The flags of every command that embeds, and the Embedder that they ask for.
struct EmbedderFlags {
  EmbedderOptions options;

  /// Declares --model, --adapter, --precision, --device, --threads, --batch-tokens, --dimensions,
  /// --task, --prompt, --image-processing, --exif, --allow-special and --truncate.
  void register_options(OptionRegistry& registry);

  /// Puts default_model() where --model was not given. Throws ConfigError if there is none.
  void choose_model();

  /// Loads the model with progress and warnings on stderr.
  Embedder load(const CommandContext& context) const;
};

}  // namespace e5v::detail
