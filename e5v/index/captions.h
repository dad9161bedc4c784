#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "e5v/base/json.h"

namespace e5v::detail {

/// What a user knows about a picture.
struct Caption {
  std::string text;
  Json metadata = Json::object();
};

/// Captions by absolute path, or by a name without folders that holds for any folder.
using Captions = std::map<std::string, Caption>;

/// Reads captions from
///   - `.jsonl`: an object a line, {"image" (or "path" or "file_name"), "caption", …}; all other
///     fields become the picture's metadata;
///   - any other file: a table of paths and captions, as read_caption_table takes it.
/// A path with folders is relative to the file's own. A later line for the same picture wins.
/// Throws FileError; FormatError with the line's number.
Captions read_captions(const std::filesystem::path& path);

/// The caption of a picture at the absolute `path`; nullptr if there is none.
const Caption* find_caption(const Captions& captions, const std::filesystem::path& path);

}  // namespace e5v::detail
