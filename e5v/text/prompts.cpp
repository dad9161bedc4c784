#include "e5v/text/prompts.h"

#include <array>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// Where the prompt stands in a chat template.
constexpr std::string_view kPromptPlaceholder = "{}";

struct NamedChatTemplate {
  std::string_view name;
  ChatTemplate chat;
  std::string_view turn;
};

// The E5-V code's `llama3_template` and `[INST]` forms (retrieval.py), its Phi-3 form
// (eval_sts.py); Vicuna's is that of LLaVA-1.5.
constexpr std::array<NamedChatTemplate, 7> kChatTemplates = {{
    {"llama3", ChatTemplate::kLlama3,
     "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n \n"},
    {"mistral", ChatTemplate::kMistral, "[INST] {} [/INST]"},
    {"vicuna", ChatTemplate::kVicuna, "USER: {} ASSISTANT:"},
    {"phi3", ChatTemplate::kPhi3, "<|user|>\n{}<|end|>\n<|assistant|>\n"},
    {"chatml", ChatTemplate::kChatMl, "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"},
    {"qwen3-vl-embedding", ChatTemplate::kQwen3VlEmbedding,
     "<|im_start|>system\nRepresent the user's input.<|im_end|>\n"
     "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"},
    {"plain", ChatTemplate::kPlain, "{}"},
}};

struct NamedPrompts {
  std::string_view task;
  std::string_view text;
  std::string_view image;
  std::string_view composed;
};

// From the E5-V code (retrieval.py `main`, eval_sts.py `batcher`). The spelling is what the model
// was evaluated with: "desribe" and "Desribe" stay. The shirt stands for FashionIQ's toptee, too.
constexpr std::string_view kSentence = "<sent>\nSummary above sentence in one word:";
constexpr std::string_view kPicture = "<image>\nSummary above image in one word:";
constexpr std::array<NamedPrompts, 8> kPrompts = {{
    {"retrieval", kSentence, kPicture, ""},
    {"query", kSentence, kPicture, ""},
    {"document", kSentence, kPicture, ""},
    {"cirr", "", "<image>\n Describe this image in one word:",
     "<image>Modify this image with \"<sent>\", desribe modified image in one word:"},
    {"fashioniq-dress", "", "<image>\n Describe this dress in one word based on its style:",
     "<image> change the style of this dress to <sent>\n"
     " Desribe this modified dress in one word based on its style:"},
    {"fashioniq-shirt", "", "<image>\n Describe this shirt in one word based on its style:",
     "<image> change the style of this shirt to <sent>\n"
     " Desribe this modified shirt in one word based on its style:"},
    {"fashioniq-toptee", "", "<image>\n Describe this shirt in one word based on its style:",
     "<image> change the style of this shirt to <sent>\n"
     " Desribe this modified shirt in one word based on its style:"},
    {"sts", " <sent>\nSummary above sentence in one word:", "", ""},
}};

/// The sides of a search, which published embedding models have prompts for.
bool is_search_task(std::string_view task) {
  return task == "retrieval" || task == "query" || task == "document";
}

/// Qwen3-VL-Embedding (its repository's src/models/qwen3_vl_embedding.py and README): pictures,
/// then text, nothing else; queries have another instruction.
Prompts qwen3_vl_embedding_prompts(std::string_view task) {
  constexpr auto kChat = ChatTemplate::kQwen3VlEmbedding;
  constexpr std::string_view kDocument = "Represent the user's input.";
  constexpr std::string_view kQuery = "Retrieve images or text relevant to the user's query.";
  const auto complete = [&](std::string_view prompt) {
    std::string whole = apply_chat_template(kChat, prompt);
    if (task == "query" || task == "cirr")
      whole.replace(whole.find(kDocument), kDocument.size(), kQuery);
    return whole;
  };
  return {std::string(task), complete("<sent>"), complete("<image>"), complete("<image><sent>")};
}

/// What stands between the prompt's colon and the end of the user's turn. The prompts were written
/// out once for each backbone, and not alike: Llama-3's retrieval prompts end in a space, and so do
/// Phi-3's in composed retrieval.
std::string_view ending_of(std::string_view task, ChatTemplate chat) {
  if (chat == ChatTemplate::kLlama3 && is_search_task(task)) return " ";
  const bool composed_retrieval = task == "cirr" || task.starts_with("fashioniq");
  if (chat == ChatTemplate::kPhi3 && composed_retrieval) return " ";
  return "";
}

template <class Table, class Name>
std::vector<std::string> names_of(const Table& table, Name name) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.*name);
  return names;
}

std::string list_of(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

void append_span(std::vector<PromptSpan>& spans, std::string_view text, bool allow_special) {
  if (text.empty()) return;
  if (spans.empty() || spans.back().allow_special != allow_special) {
    spans.push_back({"", allow_special});
  }
  spans.back().text += text;
}

size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

/// Text and pictures must be wanted by the template exactly if they are there.
void check_parts(std::string_view prompt_template, bool has_text, size_t num_images) {
  const bool wants_text = prompt_template.find(kTextPlaceholder) != std::string_view::npos;
  const size_t num_places = count_of(prompt_template, kImagePlaceholder);
  if (wants_text && !has_text) {
    throw InputError(
        fmt::format("the prompt has a place for a text ({}), but the item has none: '{}'",
                    kTextPlaceholder, printable(prompt_template)));
  }
  if (has_text && !wants_text) {
    throw InputError(fmt::format("the item has a text, but the prompt no place for it ({}): '{}'",
                                 kTextPlaceholder, printable(prompt_template)));
  }
  const bool repeated = num_places == 1 && num_images > 1;
  if (num_places != num_images && !repeated) {
    throw InputError(
        fmt::format("the prompt has {} places for pictures ({}), but the item {}: '{}'", num_places,
                    kImagePlaceholder, num_images, printable(prompt_template)));
  }
}

}  // namespace

const std::vector<std::string>& chat_template_names() {
  static const std::vector<std::string> names = names_of(kChatTemplates, &NamedChatTemplate::name);
  return names;
}

ChatTemplate find_chat_template(std::string_view name) {
  for (const NamedChatTemplate& entry : kChatTemplates) {
    if (entry.name == name) return entry.chat;
  }
  throw ConfigError(fmt::format("unknown chat template '{}', expected one of {}", printable(name),
                                list_of(chat_template_names())));
}

std::string apply_chat_template(ChatTemplate chat, std::string_view prompt) {
  for (const NamedChatTemplate& entry : kChatTemplates) {
    if (entry.chat != chat) continue;
    const size_t place = entry.turn.find(kPromptPlaceholder);
    return fmt::format("{}{}{}", entry.turn.substr(0, place), prompt,
                       entry.turn.substr(place + kPromptPlaceholder.size()));
  }
  E5V_ASSERT(false && "every ChatTemplate is in the table");
  return {};
}

const std::vector<std::string>& prompt_task_names() {
  static const std::vector<std::string> names = names_of(kPrompts, &NamedPrompts::task);
  return names;
}

Prompts find_prompts(std::string_view task, ChatTemplate chat) {
  if (chat == ChatTemplate::kQwen3VlEmbedding && (is_search_task(task) || task == "cirr")) {
    return qwen3_vl_embedding_prompts(task);
  }
  for (const NamedPrompts& entry : kPrompts) {
    if (entry.task != task) continue;
    const auto complete = [&](std::string_view prompt) {
      if (prompt.empty()) return std::string();
      return apply_chat_template(chat, fmt::format("{}{}", prompt, ending_of(task, chat)));
    };
    return {std::string(task), complete(entry.text), complete(entry.image),
            complete(entry.composed)};
  }
  throw ConfigError(fmt::format("unknown task '{}', expected one of {}", printable(task),
                                list_of(prompt_task_names())));
}

std::string composed_task(std::string_view task) {
  const bool has_one = !find_prompts(task, ChatTemplate::kPlain).composed.empty();
  return has_one ? std::string(task) : "cirr";
}

std::string query_task(std::string_view task) {
  return std::string(task == "retrieval" ? "query" : task);
}

const std::string& Prompts::choose(bool has_text, bool has_images) const {
  if (!has_text && !has_images) throw InputError("the item has neither a text nor a picture");
  const std::string& prompt = has_text ? (has_images ? composed : text) : image;
  if (prompt.empty()) {
    const std::string_view kind =
        has_text ? (has_images ? "a picture with a text" : "a text alone") : "a picture alone";
    throw InputError(fmt::format(
        "task '{}' has no prompt for {}; give another task or a whole prompt", task, kind));
  }
  return prompt;
}

std::vector<PromptSpan> render_prompt(std::string_view prompt_template,
                                      std::optional<std::string_view> text, size_t num_images,
                                      bool allow_special, std::string_view image_text) {
  check_parts(prompt_template, text.has_value(), num_images);
  const bool repeat_image = count_of(prompt_template, kImagePlaceholder) == 1;
  std::vector<PromptSpan> spans;
  for (std::string_view rest = prompt_template; !rest.empty();) {
    const size_t text_at = rest.find(kTextPlaceholder);
    const size_t image_at = rest.find(kImagePlaceholder);
    const size_t at = std::min(text_at, image_at);
    append_span(spans, rest.substr(0, at), true);
    if (at == std::string_view::npos) break;
    rest.remove_prefix(at);
    if (at == text_at) {
      append_span(spans, *text, allow_special);
      rest.remove_prefix(kTextPlaceholder.size());
    } else {
      for (size_t i = 0; i < (repeat_image ? num_images : 1); ++i) {
        append_span(spans, image_text, true);
      }
      rest.remove_prefix(kImagePlaceholder.size());
    }
  }
  return spans;
}

std::vector<TextSpan> text_spans(const std::vector<PromptSpan>& spans) {
  std::vector<TextSpan> views;
  for (const PromptSpan& span : spans) views.push_back({span.text, span.allow_special});
  return views;
}

}  // namespace e5v::detail
