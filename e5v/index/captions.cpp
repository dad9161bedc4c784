#include "e5v/index/captions.h"

#include <array>
#include <sstream>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/index/file_scan.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

constexpr std::array kPathFields = {"image", "path", "file_name"};

std::pair<std::string, Caption> parse_object(const std::string& line) {
  Json json = parse_json(line, "line");
  if (!json.is_object()) throw ConfigError("expected an object");
  std::string picture;
  for (const char* field : kPathFields) {
    if (picture.empty()) picture = field_or<std::string>(json, field, "");
    json.erase(field);
  }
  Caption caption{.text = field_or<std::string>(json, "caption", "")};
  json.erase("caption");
  caption.metadata = std::move(json);
  return {picture, std::move(caption)};
}

std::pair<std::string, Caption> parse_columns(const std::string& line) {
  const size_t tab = line.find('\t');
  if (tab == std::string::npos) throw ConfigError("expected a path, a tab, and a caption");
  return {line.substr(0, tab), Caption{.text = line.substr(tab + 1)}};
}

}  // namespace

Captions read_captions(const fs::path& path) {
  const bool is_json = path.extension() == ".jsonl";
  const fs::path folder = normal_path(path).parent_path();
  std::istringstream lines(read_file(path));
  Captions captions;
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      auto [picture, caption] = is_json ? parse_object(line) : parse_columns(line);
      if (picture.empty()) throw ConfigError("names no picture: 'image' is missing");
      const bool has_folder = fs::path(picture).has_parent_path();
      captions[has_folder ? normal_path(folder / picture).native() : picture] = std::move(caption);
    } catch (const Error& error) {
      throw FormatError(path.native(), fmt::format("line {}: {}", number, error.what()));
    }
  }
  return captions;
}

const Caption* find_caption(const Captions& captions, const fs::path& path) {
  auto found = captions.find(path.native());
  if (found == captions.end()) found = captions.find(path.filename().native());
  return found == captions.end() ? nullptr : &found->second;
}

}  // namespace e5v
