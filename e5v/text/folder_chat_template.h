#pragma once

#include <filesystem>
#include <string>

namespace e5v::detail {

/// The Jinja text by which a model folder's makers write conversations: chat_template.jinja, else
/// `chat_template` of chat_template.json, else of tokenizer_config.json. Empty where no file has
/// one. It is not run, but tells which of the built-in templates the model was trained on.
/// Throws FileError or FormatError if a file that is there cannot be read.
std::string folder_chat_template(const std::filesystem::path& model_dir);

}  // namespace e5v::detail
