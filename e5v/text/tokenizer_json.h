#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// A tokenizer.json taken apart in one pass. The two tables that make up nearly all of it are kept
/// flat; a DOM of them would cost several times the file's size.
struct TokenizerJson {
  struct Slice {
    uint32_t offset;
    uint32_t size;
  };
  struct VocabEntry {
    Slice token;
    uint32_t id;
  };
  struct MergeEntry {
    Slice left;
    Slice right;
  };

  /// Everything but `model.vocab` (where it is an object) and `model.merges`, which are null here.
  Json rest;
  std::vector<VocabEntry> vocab;
  std::vector<MergeEntry> merges;
  bool has_vocab = false;
  bool has_merges = false;
  /// What the slices refer to.
  std::string bytes;

  std::string_view view(Slice slice) const {
    return std::string_view(bytes).substr(slice.offset, slice.size);
  }
};

/// Throws FormatError: with line and column where `content` is no JSON, with the JSON path where an
/// entry of vocab is no id (a whole number up to Vocabulary::kMaxId), or one of merges neither
/// "left right" nor ["left", "right"]. `source` names the file in errors.
TokenizerJson parse_tokenizer_json(std::string_view content, std::string_view source);

}  // namespace e5v::detail
