#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"
#include "e5v/cli/commands.h"
#include "e5v/embed/default_model.h"
#include "e5v/embed/prepare.h"
#include "e5v/families/registry.h"
#include "e5v/text/prompts.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {
namespace {

struct TokenizeCommand {
  std::filesystem::path model;
  bool allow_special = false;
  bool in_template = false;
  std::string task = PrepareOptions().task;

  void run(const CommandContext& context) const {
    const Tokenizer tokenizer = Tokenizer::load(model);
    std::optional<std::string> prompt;
    if (in_template) {
      const ChatTemplate chat = load_architecture(model)->chat_template(model, tokenizer);
      prompt = find_prompts(task, chat).choose(/*has_text=*/true, /*has_images=*/false);
    }
    uint64_t line_number = 0;
    for (std::string line; std::getline(std::cin, line);) {
      ++line_number;
      if (line.ends_with('\r')) line.pop_back();
      // Before the template is around it, so that the offset is the line's.
      const size_t invalid = find_invalid_utf8(line);
      if (invalid != std::string_view::npos) {
        throw InputError(
            fmt::format("line {}: text is not valid UTF-8 at byte {}", line_number, invalid));
      }
      context.print_json(tokenize(tokenizer, prompt, line));
    }
    if (std::cin.bad()) throw FileError("standard input", "cannot read", system_reason(errno));
  }

 private:
  Json tokenize(const Tokenizer& tokenizer, const std::optional<std::string>& prompt,
                const std::string& text) const {
    const std::vector<PromptSpan> spans =
        prompt ? render_prompt(*prompt, text, /*num_images=*/0, allow_special)
               : std::vector<PromptSpan>{{text, allow_special}};
    const std::vector<int64_t> ids =
        tokenizer.encode(text_spans(spans), /*add_special_tokens=*/true);
    Json tokens = Json::array();
    for (const int64_t id : ids) tokens.push_back(tokenizer.id_to_token(id).value());
    return {{"text", text}, {"ids", ids}, {"tokens", tokens}};
  }
};

}  // namespace

void register_tokenize(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "tokenize", "Print the token ids of texts",
      "e5v tokenize --model models/e5-v < lines.txt\n"
      "echo 'a photo of a cat' | e5v tokenize --model models/e5-v --template\n"
      "\n"
      "One text a line in; one line of JSON out: {\"text\", \"ids\", \"tokens\"}. Control tokens\n"
      "written out in a text are ordinary text unless --allow-special is given.");
  auto tokenize = std::make_shared<TokenizeCommand>();
  command.add("model", tokenize->model,
              "Folder with a tokenizer.json; else E5V_MODEL or the built-in miniature");
  command.add("allow-special", tokenize->allow_special,
              "Let control tokens in a text, such as <|eot_id|>, be control tokens");
  command.add("template", tokenize->in_template,
              "Put each text into the task's prompt for this model first");
  command.add("task", tokenize->task, "Whose prompt --template takes");
  command.set_callback([tokenize, &context] {
    if (tokenize->model.empty()) tokenize->model = default_model();
    tokenize->run(context);
  });
}

}  // namespace e5v::detail
