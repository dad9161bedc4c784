#pragma once

#include <cstdint>

#include "e5v/base/json.h"

namespace e5v::detail {

/// Smallest and largest number of text tokens that a preset tokenizer can have.
constexpr int64_t kMinPresetTextTokens = 256;
constexpr int64_t kMaxPresetTextTokens = 256 + 250'000;

/// A tokenizer.json of Llama-3's form (byte-level BPE, its split regex, its control tokens and
/// template) whose text tokens nobody trained: the 256 bytes, then pieces built of syllables (`ba`,
/// `Ġba`, `bam`, `baba`, …) until there are `num_text_tokens`, each reached by merges. The ids:
///   0 to num_text_tokens - 1      text
///   + 0, 1, 6, 7, 9 of 256        <|begin_of_text|>, <|end_of_text|>, <|start_header_id|>,
///                                 <|end_header_id|>, <|eot_id|>; the others are reserved
///   + 256, + 257                  <image>, <pad>
/// Throws ConfigError if `num_text_tokens` is out of range.
Json preset_tokenizer(int64_t num_text_tokens);

/// The tokenizer_config.json beside it.
Json preset_tokenizer_config();

/// The same in Qwen's form (NFC, one digit a word, nothing around a text), with its control tokens
/// behind the text's: <|endoftext|>, <|im_start|>, <|im_end|>, … <|vision_start|> (+ 9),
/// <|vision_end|>, <|vision_pad|>, <|image_pad|> (+ 12), <|video_pad|>.
Json qwen_preset_tokenizer(int64_t num_text_tokens);
Json qwen_preset_tokenizer_config();

}  // namespace e5v::detail
