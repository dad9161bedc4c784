#include <algorithm>
#include <memory>

#include "e5v/base/utf8.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/embed/item_source.h"
#include "e5v/eval/language_head.h"

namespace e5v::detail {
namespace {

struct WordsCommand {
  EmbedderFlags embedder;
  std::vector<std::string> items;
  int64_t top = 10;

  void run(const CommandContext& context);
};

/// A picture if it is the path of one that exists, else a text.
Item item_of_argument(const std::string& argument) {
  Item item;
  item.id = argument;
  if (is_image_path(argument) && std::filesystem::exists(argument)) {
    item.images.emplace_back(std::filesystem::path(argument));
  } else {
    item.text = argument;
  }
  return item;
}

/// `text` in exactly `width` columns (a code point a column).
std::string in_columns(std::string_view text, size_t width) {
  std::string shown;
  size_t columns = 0;
  for (size_t at = 0; at < text.size() && columns < width; ++columns) {
    const Utf8Char c = next_utf8(text, at);
    shown += c.valid && c.code_point >= 0x20 ? std::string(text.substr(at, c.size)) : "·";
    at += c.size;
  }
  return shown + std::string(width - columns, ' ');
}

/// One column of the table.
struct Column {
  std::string title;
  std::vector<Word> words;
};

std::string table_text(const std::vector<Column>& columns, size_t num_rows) {
  constexpr size_t kWord = 16, kColumn = kWord + 9;
  std::string text;
  for (const Column& column : columns) text += in_columns(column.title, kColumn) + "  ";
  for (size_t row = 0; row < num_rows; ++row) {
    text += "\n";
    for (const Column& column : columns) {
      if (row >= column.words.size()) {
        text += std::string(kColumn + 2, ' ');
        continue;
      }
      const Word& word = column.words[row];
      text += fmt::format("{} {:7.2f}%  ", in_columns(word.text, kWord), 100 * word.probability);
    }
  }
  return text;
}

void WordsCommand::run(const CommandContext& context) {
  embedder.choose_model();
  if (top < 1) throw ConfigError(fmt::format("'top' is {}, expected 1 or more", top));
  std::vector<Item> inputs;
  for (const std::string& argument : items) inputs.push_back(item_of_argument(argument));
  const LanguageHead head(embedder.options.model);
  std::vector<Column> columns;
  const auto add = [&](const std::filesystem::path& adapter, const std::string& suffix) {
    EmbedderFlags flags = embedder;
    flags.options.adapter = adapter;
    flags.options.dimensions = 0;
    flags.options.normalize = false;  // the head reads the state itself
    const auto states = flags.load(context).embed(inputs);
    for (size_t i = 0; i < states.size(); ++i) {
      columns.push_back({items[i] + suffix, head.top_words(states[i], top)});
    }
  };
  const std::filesystem::path& adapter = embedder.options.adapter;
  add({}, adapter.empty() ? "" : " (before)");
  if (!adapter.empty()) add(adapter, " (after)");
  if (context.json) {
    Json json = Json::array();
    for (const Column& column : columns) {
      Json words = Json::array();
      for (const Word& word : column.words) {
        words.push_back({{"text", word.text}, {"id", word.id}, {"probability", word.probability}});
      }
      json.push_back({{"item", column.title}, {"words", words}});
    }
    return context.print_json(json);
  }
  context.print(table_text(columns, static_cast<size_t>(top)));
}

}  // namespace

void register_words(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "words", "Print the words that an embedding stands for",
      "e5v words --model DIR photo.jpg 'a dog on grass'\n"
      "e5v words --model DIR --adapter run/adapter photo.jpg 'a dog on grass' --top 5\n"
      "\n"
      "The likeliest next words after the prompt \"... in one word:\"; with --adapter before and\n"
      "after training. An argument that is the path of a picture is that picture, any other a "
      "text.");
  auto words = std::make_shared<WordsCommand>();
  command.add_argument("items", words->items, "Texts and paths of pictures");
  command.require_argument("items");
  command.add("top", words->top, "Words of each item");
  words->embedder.register_options(command);
  command.set_callback([words, &context] { words->run(context); });
}

}  // namespace e5v::detail
