#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/text/tokenizer.h"  // TextSpan

namespace e5v::detail {

/// What a template holds in place of a picture, and of the item's text.
inline constexpr std::string_view kImagePlaceholder = "<image>";
inline constexpr std::string_view kTextPlaceholder = "<sent>";

/// The turn of a conversation that a backbone was trained on, around the prompt proper.
enum class ChatTemplate {
  kLlama3,   ///< "llama3": E5-V's own, which ends in a space and a newline behind the assistant's
             ///< header
  kMistral,  ///< "mistral": LLaVA-1.6-Mistral, `[INST] … [/INST]`
  kVicuna,   ///< "vicuna": LLaVA-1.5 and LLaVA-1.6-Vicuna, `USER: … ASSISTANT:`
  kPhi3,     ///< "phi3": `<|user|>`, the prompt, `<|end|>`, `<|assistant|>`, on lines of their own
  kChatMl,   ///< "chatml": Qwen3-VL, `<|im_start|>user` … `<|im_end|>`, no system's turn
  kQwen3VlEmbedding,  ///< "qwen3-vl-embedding": the same behind a system's turn, the instruction
  kPlain,             ///< "plain": nothing around it
};

/// Throws ConfigError that lists the names, for another name.
ChatTemplate find_chat_template(std::string_view name);
const std::vector<std::string>& chat_template_names();

/// `prompt` as the user's turn of `chat`.
std::string apply_chat_template(ChatTemplate chat, std::string_view prompt);

/// The prompts of a task, chat template included; empty where the task has none of that kind.
struct Prompts {
  std::string task;
  std::string text;
  std::string image;
  /// Of a picture together with a text that changes it.
  std::string composed;

  /// The prompt of an item that has a text, pictures, or both.
  /// Throws InputError if the task has no prompt for such an item, or the item has neither.
  const std::string& choose(bool has_text, bool has_images) const;
};

/// The prompts of the E5-V paper's evaluations, to the byte: `retrieval`, `cirr`,
/// `fashioniq-dress`, `fashioniq-shirt`, `fashioniq-toptee`, `sts`. Normalising STS sentences is
/// left to the caller. `query` and `document` are the two sides of a search, for models that tell
/// them apart; for others both are `retrieval`. A published embedding model has its makers' prompts
/// for these three and `cirr`: a document's for `retrieval`, a query's for `cirr`. Throws
/// ConfigError that lists the names, for another name.
Prompts find_prompts(std::string_view task, ChatTemplate chat);
const std::vector<std::string>& prompt_task_names();

/// The task by whose prompt a picture together with a text is asked about: `task` if it has such a
/// prompt, else "cirr". Throws ConfigError as find_prompts.
std::string composed_task(std::string_view task);

/// The task by whose prompt one searches among items of `task`: "query" for "retrieval", else
/// `task`.
std::string query_task(std::string_view task);

/// A TextSpan that owns its text.
struct PromptSpan {
  std::string text;
  bool allow_special = false;

  bool operator==(const PromptSpan&) const = default;
};

/// Fills in a template: `text` for each `<sent>`, `image_text` for each `<image>`. Control
/// tokens count in the template's own words; in `text` only with `allow_special`. Where the
/// template has one `<image>` and the item several pictures, the placeholder is repeated without a
/// gap. Neighbouring spans differ in `allow_special`.
///
/// Throws InputError if text or pictures are given that the template has no place for, or the other
/// way round.
std::vector<PromptSpan> render_prompt(std::string_view prompt_template,
                                      std::optional<std::string_view> text, size_t num_images,
                                      bool allow_special = false,
                                      std::string_view image_text = kImagePlaceholder);

/// Views of `spans`, for Tokenizer::encode.
std::vector<TextSpan> text_spans(const std::vector<PromptSpan>& spans);

}  // namespace e5v::detail
