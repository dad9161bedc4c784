#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/embed/prepare.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {

/// On which bytes a text is trained.
enum class PromptMode {
  kClean,      ///< "clean": the very prompt that embedding uses, without padding
  kPaperCode,  ///< "paper-code": what the published script does, its slips included
};

struct TrainingPromptOptions {
  PromptMode prompts = PromptMode::kClean;
  /// Sentences are cut to this many tokens before the prompt is put around them; 0 = never.
  int64_t max_sentence_tokens = 0;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError.
  void validate() const;
};

/// Turns an item of a triplet into what the model is trained on. Thread-safe.
///
/// PromptMode::kClean: exactly what embedding makes of it (ItemPreparer, task "retrieval"); with
/// `max_sentence_tokens` a longer sentence is first cut to what so many of its tokens stand for.
///
/// PromptMode::kPaperCode: what the published script makes of a sentence. It is tokenized (control
/// tokens are read as such), cut, and decoded again, which also removes blanks before punctuation.
/// The template's underscores have become blanks, so that `<|start_header_id|>` is plain text
/// `<|start header id|>`. The whole is stripped, which takes away the blank and line ends that
/// close the prompt of embedding, and tokenized.
class TrainingPrompt {
 public:
  /// `preparer` must outlive this; `chat` goes around the prompt.
  TrainingPrompt(const ItemPreparer& preparer, const TrainingPromptOptions& options,
                 ChatTemplate chat);

  /// Throws InputError (not UTF-8, too long; a picture with kPaperCode), and what reading a picture
  /// throws.
  PreparedItem prepare(const TripletItem& item) const;

  PromptMode mode() const { return mode_; }
  const ItemPreparer& preparer() const { return preparer_; }

 private:
  std::string cut(std::string_view sentence, bool allow_special) const;
  std::vector<int64_t> encode_as_paper_code(std::string_view sentence) const;

  const ItemPreparer& preparer_;
  PromptMode mode_;
  int64_t max_sentence_tokens_;
  ChatTemplate chat_;
  std::string paper_code_template_;  // with <sent>
};

/// What transformers' `clean_up_tokenization` does to decoded text: no blank before . ? ! , and
/// none inside English contractions.
std::string clean_up_tokenization(std::string text);

}  // namespace e5v::detail
