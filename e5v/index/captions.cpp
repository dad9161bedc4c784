#include "e5v/index/captions.h"

#include <array>
#include <sstream>

#include "e5v/base/caption_table.h"
#include "e5v/base/error.h"
#include "e5v/base/text_file.h"
#include "e5v/index/file_scan.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::array kPathFields = {"image", "path", "file_name"};

std::pair<std::string, Caption> parse_object(const std::string& line, const std::string& place) {
  Json json = parse_json(line, place);
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

/// Captions under the names that find_caption looks for.
class CaptionsBuilder {
 public:
  explicit CaptionsBuilder(const fs::path& file) : folder_(normal_path(file).parent_path()) {}

  void add(const std::string& picture, Caption caption) {
    if (picture.empty()) throw ConfigError("names no picture: 'image' is missing");
    const bool has_folder = fs::path(picture).has_parent_path();
    captions_[has_folder ? normal_path(folder_ / picture).native() : picture] = std::move(caption);
  }
  Captions take() { return std::move(captions_); }

 private:
  fs::path folder_;
  Captions captions_;
};

}  // namespace

Captions read_captions(const fs::path& path) {
  CaptionsBuilder captions(path);
  uint64_t number = 0;
  try {
    if (path.extension() == ".jsonl") {
      std::istringstream lines(read_text_file(path));
      for (std::string line; std::getline(lines, line);) {
        ++number;
        if (line.find_first_not_of(" \t") == std::string::npos) continue;
        auto [picture, caption] =
            parse_object(line, fmt::format("{}: line {}", path.native(), number));
        captions.add(picture, std::move(caption));
      }
    } else {
      for (CaptionRow& row : read_caption_table(path)) {
        number = row.line;
        captions.add(row.image, {.text = std::move(row.caption)});
      }
    }
  } catch (const ConfigError& error) {
    throw FormatError(path.native(), fmt::format("line {}: {}", number, error.what()));
  }
  return captions.take();
}

const Caption* find_caption(const Captions& captions, const fs::path& path) {
  auto found = captions.find(path.native());
  if (found == captions.end()) found = captions.find(path.filename().native());
  return found == captions.end() ? nullptr : &found->second;
}

}  // namespace e5v::detail
