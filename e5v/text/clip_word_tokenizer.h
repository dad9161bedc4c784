#pragma once

#include <string>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// A tokenizer.json of CLIP's form for a small world: byte-pair merges, with `</w>` at words' ends,
/// learned on `words` until each of them is one token, as Sennrich et al. 2016 learn them. Texts
/// are lower-cased; other words are taken apart. The ids:
///   0 to 255, 256 to 511   the bytes, in CLIP's order, and the bytes at a word's end
///   from 512               the merges
///   the last two           <|startoftext|>, <|endoftext|>
/// `words` are of ASCII letters; at most kMaxClipWords of them. Throws ConfigError for more.
Json clip_word_tokenizer(const std::vector<std::string>& words);

constexpr size_t kMaxClipWords = 2000;

/// The tokenizer_config.json beside it.
Json clip_word_tokenizer_config();

}  // namespace e5v::detail
