#include "e5v/train/training_prompt.h"

#include <algorithm>
#include <array>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string result;
  size_t at = 0;
  for (size_t found = text.find(from); found != std::string::npos; found = text.find(from, at)) {
    result.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  text = result.append(text, at);
}

/// Python's str.strip for ASCII text around it.
std::string stripped(const std::string& text) {
  constexpr std::string_view kBlanks = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

std::string clean_up_tokenization(std::string text) {
  // One after the other, as there: an earlier rule's result can be a later one's input.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kRules = {{
      {" .", "."},
      {" ?", "?"},
      {" !", "!"},
      {" ,", ","},
      {" ' ", "'"},
      {" n't", "n't"},
      {" 'm", "'m"},
      {" 's", "'s"},
      {" 've", "'ve"},
      {" 're", "'re"},
  }};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
  return text;
}

void TrainingPromptOptions::register_options(OptionRegistry& registry) {
  registry.add("prompts", prompts,
               {{"clean", PromptMode::kClean}, {"paper-code", PromptMode::kPaperCode}},
               "The prompts of embedding, or the published script's own");
  registry.add("max-sentence-tokens", max_sentence_tokens,
               "Cut sentences to so many tokens; 0 = never");
}

void TrainingPromptOptions::validate() const {
  if (max_sentence_tokens >= 0) return;
  throw ConfigError(
      fmt::format("'max_sentence_tokens' is {}, expected 0 or more", max_sentence_tokens));
}

TrainingPrompt::TrainingPrompt(const ItemPreparer& preparer, const TrainingPromptOptions& options,
                               ChatTemplate chat)
    : preparer_(preparer),
      mode_(options.prompts),
      max_sentence_tokens_(options.max_sentence_tokens),
      chat_(chat),
      paper_code_template_(apply_chat_template(
          chat_, std::string(kTextPlaceholder) + "\nSummary above sentence in one word:")) {
  std::replace(paper_code_template_.begin(), paper_code_template_.end(), '_', ' ');
}

std::string TrainingPrompt::cut(std::string_view sentence, bool allow_special) const {
  const Tokenizer& tokenizer = preparer_.tokenizer();
  std::vector<int64_t> ids =
      tokenizer.encode(sentence, {.add_special_tokens = false, .allow_special = allow_special});
  const auto longest = static_cast<size_t>(max_sentence_tokens_);
  if (max_sentence_tokens_ > 0 && ids.size() > longest) ids.resize(longest);
  return tokenizer.decode(ids);
}

std::vector<int64_t> TrainingPrompt::encode_as_paper_code(std::string_view sentence) const {
  std::string text = paper_code_template_;
  replace_all(text, kTextPlaceholder, clean_up_tokenization(cut(sentence, true)));
  return preparer_.tokenizer().encode(stripped(text),
                                      {.add_special_tokens = true, .allow_special = true});
}

PreparedItem TrainingPrompt::prepare(const TripletItem& item) const {
  if (mode_ == PromptMode::kPaperCode) {
    if (!item.image.empty()) {
      throw InputError("has a picture: the published script trains on texts only");
    }
    return {.input_ids = encode_as_paper_code(item.text)};
  }
  Item whole;
  if (!item.text.empty()) {
    whole.text = max_sentence_tokens_ > 0 ? cut(item.text, false) : item.text;
  }
  if (!item.image.empty()) whole.images.emplace_back(item.image);
  whole.prompt =
      find_prompts("retrieval", chat_).choose(whole.text.has_value(), !whole.images.empty());
  return preparer_.prepare(whole, {});
}

}  // namespace e5v::detail
