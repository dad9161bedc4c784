#pragma once

#include <memory>

#include "e5v/text/config_node.h"
#include "e5v/text/marked_text.h"

namespace e5v::detail {

/// The `normalizer` of a tokenizer.json: rewrites text before it is cut into words.
/// Immutable and thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// `text` must be valid UTF-8 and stays so.
  virtual void normalize(MarkedText& text) const = 0;
};

/// Makes Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend, Strip and StripAccents; a
/// null `config` gives a normalizer that changes nothing. Throws FormatError for any other type.
std::unique_ptr<const Normalizer> make_normalizer(const ConfigNode& config);

}  // namespace e5v::detail
