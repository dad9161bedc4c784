#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// The control tokens of a word tokenizer, which have the first ids.
inline constexpr const char* kWordTokenizerControls[] = {"<pad>",    "<s>",           "<|end|>",
                                                         "<|user|>", "<|assistant|>", "<image>"};

/// A tokenizer.json for a small world: byte-level BPE that has each of `words` as one token, with
/// and without a blank before it, so that a text of these words has as many tokens as words and
/// marks. A text begins with a blank (decoding takes it away), so that its first word is the same
/// token as in the middle of another. Anything else is taken apart into bytes. The ids:
///   0 to 5      kWordTokenizerControls, those of Phi-3's chat template; they swallow what blanks
///               and line ends follow, `<image>` apart
///   6 to 261    the 256 bytes
///   from 262    the words, each followed by itself with a blank; a letter only with one
/// `words` are of letters only and distinct. `<s>` begins every text.
Json word_tokenizer(const std::vector<std::string>& words);

/// The tokenizer_config.json beside it.
Json word_tokenizer_config();

/// The words (of ASCII letters) in `text`, sorted.
std::vector<std::string> distinct_words(std::string_view text);

}  // namespace e5v::detail
