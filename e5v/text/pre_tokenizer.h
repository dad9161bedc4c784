#pragma once

#include <memory>
#include <string>
#include <vector>

#include "e5v/text/config_node.h"
#include "e5v/text/regex.h"  // TextRange

namespace e5v::detail {

/// A stretch of normalized text and the words found in it so far.
struct PreTokenizedText {
  std::string text;
  /// Ascending, not overlapping, never empty; text between them is dropped.
  std::vector<TextRange> words;
  /// The text's first byte stems from the first byte of the whole input.
  bool at_start = true;
};

/// The `pre_tokenizer` of a tokenizer.json: cuts normalized text into the words that the model
/// tokenizes one by one. Immutable and thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Cuts each of `text.words` further, and may rewrite the text.
  virtual void split(PreTokenizedText& text) const = 0;
};

struct PreTokenizerAndLevel {
  std::unique_ptr<const PreTokenizer> pre_tokenizer;
  /// A ByteLevel step is among them: the model's symbols are bytes, not characters.
  bool byte_level = false;
};

/// Makes Sequence, Split, ByteLevel, Metaspace, Digits, Punctuation, Whitespace and
/// WhitespaceSplit; a null `config` gives one that leaves each text a single word. ByteLevel must
/// be the last step. Throws FormatError for any other type.
PreTokenizerAndLevel make_pre_tokenizer(const ConfigNode& config);

}  // namespace e5v::detail
