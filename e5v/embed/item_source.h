#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "e5v/base/error.h"
#include "e5v/embed/prepare.h"

namespace e5v::detail {

/// An item as it was read, or what was wrong with it; then the item holds its id or place only.
struct ReadItem {
  Item item;
  std::optional<InputError> error;
};

/// Where a stream of items comes from, until nullopt.
using ItemSource = std::function<std::optional<ReadItem>()>;

/// Items of a file or folder, read as they are asked for.
struct ItemInput {
  ItemSource next;
  uint64_t count = 0;  ///< items in all; 0 = unknown
};

/// Opens a source of items:
///   - `-`: lines of plain text from standard input; an empty line is an error of that item;
///   - a folder: its pictures (.jpg .jpeg .png .webp .gif .bmp), sub-folders included, sorted by
///   path,
///     which is the id;
///   - any other file: a JSON object a line, {"id", "text", "image", "images", "task", "prompt"},
///   all
///     optional, other fields ignored; paths relative to the file's folder. Empty lines are
///     skipped.
/// Where there is no "id" it is the item's number, from 0. Throws FileError; what is wrong with one
/// item is that item's error.
ItemInput open_items(const std::filesystem::path& path);

/// The item of one JSON line. `folder` is what relative paths are relative to. Throws InputError.
Item parse_item(std::string_view line, const std::filesystem::path& folder);

}  // namespace e5v::detail
