#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "e5v/text/marked_text.h"

namespace e5v::detail {

/// A token that is looked for in the text before the model sees it.
struct AddedToken {
  uint32_t id = 0;
  std::string content;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes white space on its left along
  bool rstrip = false;       ///< takes white space on its right along
  bool normalized = true;    ///< looked for in the normalized text, in its normalized form
  bool special = false;      ///< skipped by decode(…, skip_special_tokens)
  bool control = false;      ///< matches only where the caller allows control tokens
};

/// Finds added tokens in text: from left to right, the longest one that is allowed at each place.
/// Immutable after the last `add`, then thread-safe.
class AddedTokenMatcher {
 public:
  /// A stretch of text: an added token with the white space it takes along, or what lies between.
  struct Part {
    TextRange range;
    const AddedToken* token;  ///< null for ordinary text
  };

  /// `form` is what to look for: the token's content, or its normalized form. An empty form is
  /// never found; of equal forms the first wins.
  void add(std::string_view form, const AddedToken* token);

  /// Cuts `text` into parts; no part of ordinary text is empty. A control token is found only where
  /// all its bytes have the same mark, not 0.
  std::vector<Part> split(const MarkedText& text) const;

 private:
  struct Node {
    std::vector<std::pair<uint8_t, uint32_t>> children;  // sorted by byte
    const AddedToken* token = nullptr;
  };

  struct Match {
    const AddedToken* token;
    size_t end;
  };

  const uint32_t* child(uint32_t node, char byte) const;
  std::optional<Match> longest_at(const MarkedText& text, size_t at) const;

  std::vector<Node> nodes_{1};
  std::array<bool, 256> begins_token_{};  // by first byte: nearly all places are passed over
};

}  // namespace e5v::detail
