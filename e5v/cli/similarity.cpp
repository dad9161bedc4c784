#include <algorithm>
#include <memory>

#include "e5v/base/utf8.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/embed/item_source.h"

namespace e5v::detail {
namespace {

struct SimilarityCommand {
  EmbedderFlags embedder;
  std::vector<std::string> items;

  void run(const CommandContext& context) const;
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

float dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return static_cast<float>(sum);
}

/// `text` in exactly `width` columns: cut with "…" or filled with spaces (a code point a column).
std::string in_columns(std::string_view text, size_t width) {
  std::string shown;
  size_t columns = 0;
  for (size_t at = 0; at < text.size(); ++columns) {
    const Utf8Char c = next_utf8(text, at);
    if (columns + 1 == width && at + c.size < text.size()) {
      shown += "…";
      at = text.size();
    } else {
      shown += c.valid && c.code_point >= 0x20 ? std::string(text.substr(at, c.size)) : "?";
      at += c.size;
    }
  }
  return shown + std::string(width > columns ? width - columns : 0, ' ');
}

std::string matrix_text(const std::vector<std::string>& names,
                        const std::vector<std::vector<float>>& matrix) {
  size_t widest = 0;
  for (const std::string& name : names) widest = std::max(widest, name.size());
  const size_t width = std::min<size_t>(widest, 40);
  std::string text = std::string(width + 4, ' ');
  for (size_t j = 0; j < names.size(); ++j)
    text += fmt::format("{:>8}", fmt::format("[{}]", j + 1));
  for (size_t i = 0; i < names.size(); ++i) {
    text += fmt::format("\n{:>3} {}", i + 1, in_columns(names[i], width));
    for (const float value : matrix[i]) text += fmt::format("{:>8.4f}", value);
  }
  return text;
}

void SimilarityCommand::run(const CommandContext& context) const {
  std::vector<Item> inputs;
  for (const std::string& argument : items) inputs.push_back(item_of_argument(argument));
  const auto vectors = embedder.load(context).embed(inputs);
  std::vector<std::vector<float>> matrix;
  for (const auto& a : vectors) {
    std::vector<float>& row = matrix.emplace_back();
    for (const auto& b : vectors) row.push_back(dot(a, b));
  }
  if (context.json) {
    context.print_json({{"items", items}, {"similarity", matrix}});
  } else {
    context.print(matrix_text(items, matrix));
  }
}

}  // namespace

void register_similarity(CLI::App& app, CommandContext& context) {
  Command command =
      add_command(app, context, "similarity", "Print the cosines between texts and images",
                  "e5v similarity --model DIR 'a dog on grass' dog.jpg cat.jpg\n"
                  "e5v similarity --model DIR --json 'red' 'blue' sky.png\n"
                  "\n"
                  "An argument that is the path of a picture is that picture, any other a text.");
  auto similarity = std::make_shared<SimilarityCommand>();
  command.add_argument("items", similarity->items, "Texts and paths of pictures");
  command.require_argument("items");
  similarity->embedder.register_options(command);
  command.set_callback([similarity, &context] {
    similarity->embedder.choose_model();
    similarity->run(context);
  });
}

}  // namespace e5v::detail
