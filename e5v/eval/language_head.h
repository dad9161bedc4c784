#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "e5v/checkpoint/checkpoint.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {

/// A word that the language model would say next.
struct Word {
  std::string text;  ///< as the tokenizer decodes it, a leading space included
  int64_t id = 0;
  double probability = 0;
};

/// The head of a checkpoint's language model, which embedding does not need: what the "one word" is
/// that an item's state stands for. The weight stays in the mapped file.
class LanguageHead {
 public:
  /// Throws FileError, FormatError where there is neither a head nor a table that it shares.
  explicit LanguageHead(const std::filesystem::path& model_dir);

  /// The `count` likeliest words after `state` (the last token's, after the final norm, not
  /// normalised), likeliest first. Throws InputError if its length is not the head's.
  std::vector<Word> top_words(std::span<const float> state, int64_t count) const;

 private:
  Checkpoint checkpoint_;
  Tokenizer tokenizer_;
  std::string weight_;  // the stored tensor's name
};

}  // namespace e5v::detail
