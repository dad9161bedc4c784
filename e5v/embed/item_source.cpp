#include "e5v/embed/item_source.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>

#include "e5v/base/file.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

/// A line longer than this is no item but a file of another kind.
constexpr size_t kMaxLineBytes = size_t{256} << 20;

/// Lines of a stream, without their ends ("\n" or "\r\n").
class LineReader {
 public:
  LineReader(std::shared_ptr<std::istream> stream, std::string name)
      : stream_(std::move(stream)), name_(std::move(name)) {}

  bool next(std::string& line) {
    if (!std::getline(*stream_, line)) {
      if (stream_->bad()) throw FileError(name_, "cannot read", system_reason(errno));
      return false;
    }
    ++number_;
    if (line.size() > kMaxLineBytes) {
      throw FormatError(name_,
                        fmt::format("line {} is longer than {} bytes", number_, kMaxLineBytes));
    }
    if (line.ends_with('\r')) line.pop_back();
    return true;
  }

  std::string place() const { return fmt::format("{}:{}", name_, number_); }

 private:
  std::shared_ptr<std::istream> stream_;
  std::string name_;
  uint64_t number_ = 0;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

ItemInput open_text_lines() {
  const std::shared_ptr<std::istream> stream(&std::cin, [](std::istream*) {});
  auto lines = std::make_shared<LineReader>(stream, "standard input");
  auto number = std::make_shared<uint64_t>(0);
  return {.next = [lines, number]() -> std::optional<ReadItem> {
    ReadItem read;
    std::string line;
    if (!lines->next(line)) return std::nullopt;
    read.item.id = fmt::to_string((*number)++);
    read.item.text = std::move(line);
    return read;
  }};
}

ItemInput open_json_lines(const std::filesystem::path& path) {
  const MappedFile content(path);
  uint64_t count = 0;
  for (size_t at = 0; at < content.bytes().size();) {
    const auto* begin = reinterpret_cast<const char*>(content.bytes().data());
    const std::string_view rest(begin + at, content.bytes().size() - at);
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (!is_blank(rest.substr(0, end)) && rest.substr(0, end) != "\r") ++count;
    at += end + 1;
  }
  auto file = std::make_shared<std::ifstream>(path, std::ios::binary);
  if (!*file) throw FileError(path.native(), "cannot open", system_reason(errno));
  auto lines = std::make_shared<LineReader>(std::move(file), path.native());
  auto number = std::make_shared<uint64_t>(0);
  const std::filesystem::path folder = path.parent_path();
  const auto next = [lines, number, folder]() -> std::optional<ReadItem> {
    std::string line;
    do {
      if (!lines->next(line)) return std::nullopt;
    } while (is_blank(line));
    ReadItem read;
    try {
      read.item = parse_item(line, folder);
    } catch (const InputError& error) {
      read.error.emplace(fmt::format("{}: {}", lines->place(), error.what()));
    }
    if (read.item.id.empty()) read.item.id = fmt::to_string(*number);
    ++*number;
    return read;
  };
  return {.next = next, .count = count};
}

ItemInput open_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  auto paths = std::make_shared<std::vector<fs::path>>();
  try {
    const auto options = fs::directory_options::follow_directory_symlink |
                         fs::directory_options::skip_permission_denied;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, options)) {
      if (is_image_path(entry.path()) && entry.is_regular_file()) paths->push_back(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw FileError(folder.native(), "cannot list", error.code().message());
  }
  std::sort(paths->begin(), paths->end());
  auto index = std::make_shared<size_t>(0);
  const auto next = [paths, index, folder]() -> std::optional<ReadItem> {
    if (*index == paths->size()) return std::nullopt;
    const fs::path& path = (*paths)[(*index)++];
    ReadItem read;
    read.item.id = path.lexically_relative(folder).native();
    read.item.images.emplace_back(path);
    return read;
  };
  return {.next = next, .count = paths->size()};
}

std::string string_field(const Json& object, const char* key) {
  return field_or<std::string>(object, key, "");
}

}  // namespace

Item parse_item(std::string_view line, const std::filesystem::path& folder) {
  try {
    const Json json = parse_json(line, "item");
    if (!json.is_object()) {
      throw InputError(fmt::format("is a JSON {}, expected an object", json.type_name()));
    }
    for (const char* key : {"video", "videos", "audio"}) {
      if (json.contains(key) && !json[key].is_null()) {
        throw InputError(fmt::format(
            "'{}': only texts and pictures are taken; its frames can be 'images'", key));
      }
    }
    Item item;
    if (const auto id = find_field<Json>(json, "id")) {
      if (!id->is_string() && !id->is_number_integer()) {
        throw InputError("'id' is neither a string nor an integer");
      }
      item.id = id->is_string() ? id->get<std::string>() : id->dump();
    }
    if (item.id.find_first_of("\r\n") != std::string::npos) {
      throw InputError("'id' holds a line break");
    }
    item.text = find_field<std::string>(json, "text");
    item.task = string_field(json, "task");
    item.prompt = string_field(json, "prompt");
    std::vector<std::string> paths = field_or<std::vector<std::string>>(json, "images", {});
    if (const auto image = find_field<std::string>(json, "image")) {
      paths.insert(paths.begin(), *image);
    }
    for (const std::string& path : paths) {
      if (path.empty()) throw InputError("an image's path is empty");
      item.images.emplace_back(folder / path);
    }
    return item;
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    throw InputError(error.what());
  }
}

ItemInput open_items(const std::filesystem::path& path) {
  if (path == "-") return open_text_lines();
  return std::filesystem::is_directory(path) ? open_folder(path) : open_json_lines(path);
}

}  // namespace e5v::detail
