#pragma once

#include <memory>
#include <string>
#include <vector>

#include "e5v/text/config_node.h"

namespace e5v::detail {

/// The `decoder` of a tokenizer.json: turns tokens back into text. Immutable and thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Rewrites the tokens' texts in place; joined, they are the decoded text.
  virtual void decode(std::vector<std::string>& tokens) const = 0;
};

/// Makes Sequence, ByteLevel, Metaspace, ByteFallback, Fuse, Strip, Replace and BPEDecoder; a null
/// `config` gives one that puts a space between tokens. Throws FormatError for any other type.
std::unique_ptr<const Decoder> make_decoder(const ConfigNode& config);

}  // namespace e5v::detail
