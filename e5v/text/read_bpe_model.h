#pragma once

#include <string>
#include <string_view>

#include "e5v/text/bpe_model.h"
#include "e5v/text/tokenizer_json.h"

namespace e5v::detail {

/// The `model` of a tokenizer.json, which must be of type BPE. With `byte_level` its vocabulary is
/// taken for the byte-level spelling and kept as raw bytes; see vocabulary_key.
/// Throws FormatError naming the JSON path; `source` names the file.
BpeModel read_bpe_model(const TokenizerJson& json, bool byte_level, std::string_view source);

/// What `spelled`, a token as tokenizer.json writes it, is in the model's vocabulary: with
/// `byte_level` the bytes it stands for. A token that holds a character which stands for no byte
/// keeps its spelling, marked so that no text ever yields it.
std::string vocabulary_key(std::string_view spelled, bool byte_level);

/// The reverse of vocabulary_key.
std::string token_spelling(std::string_view key, bool byte_level);

}  // namespace e5v::detail
