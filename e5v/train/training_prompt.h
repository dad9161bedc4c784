#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/embed/prepare.h"
#include "e5v/train/train_options.h"
#include "e5v/train/triplets.h"

namespace e5v {

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
  /// `preparer` must outlive this. Throws ConfigError for an unknown chat template.
  TrainingPrompt(const ItemPreparer& preparer, const TrainOptions& options);

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

}  // namespace e5v
