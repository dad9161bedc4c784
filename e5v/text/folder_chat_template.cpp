#include "e5v/text/folder_chat_template.h"

#include "e5v/base/file.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

/// A field that is a text, or a list of named ones.
std::string template_in(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return "";
  const Json json = read_json(path);
  const auto found = json.find("chat_template");
  if (found == json.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace

std::string folder_chat_template(const std::filesystem::path& model_dir) {
  const std::filesystem::path jinja = model_dir / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) return read_file(jinja);
  std::string found = template_in(model_dir / "chat_template.json");
  return found.empty() ? template_in(model_dir / "tokenizer_config.json") : found;
}

}  // namespace e5v::detail
