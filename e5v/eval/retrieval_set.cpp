#include "e5v/eval/retrieval_set.h"

#include <fmt/ranges.h>

#include <set>
#include <unordered_map>
#include <utility>

#include "e5v/base/caption_table.h"
#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/base/text_file.h"
#include "e5v/eval/image_set.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kCaptionFiles = {
    "dataset_flickr30k.json",
    "dataset_coco.json",
    "dataset.json",
    "captions_val2017.json",
    "annotations/captions_val2017.json",
    "captions_val2014.json",
    "annotations/captions_val2014.json",
    "results_20130124.token",
    "captions.txt",
    "captions.tsv",
    "captions.csv",
    "captions.jsonl",
};

/// Collects captions by picture, in the order in which pictures first appear.
class SetBuilder {
 public:
  SetBuilder(const fs::path& file, const RetrievalData& data)
      : file_(file), data_(data), finder_(roots_of(file, data)) {}

  /// `names` are the paths under which the picture may be found.
  size_t add_image(const std::string& id, std::vector<std::string> names) {
    if (const auto found = index_.find(id); found != index_.end()) return found->second;
    index_.emplace(id, images_.size());
    images_.push_back({.id = id, .path = finder_.find(names), .drawn_text = {}});
    captions_.emplace_back();
    return images_.size() - 1;
  }
  bool has_image(const std::string& id) const { return index_.contains(id); }
  size_t image(const std::string& id) const { return index_.at(id); }

  /// A split that the file has.
  void add_split(const std::string& split) { splits_.insert(printable(split)); }

  void add_caption(size_t image, std::string caption, const std::string& place) {
    const bool is_empty = caption.find_first_not_of(" \t\r\n") == std::string::npos;
    if (is_empty) throw FormatError(file_.native(), place + ": the caption is empty");
    captions_[image].push_back(std::move(caption));
  }

  RetrievalSet finish() {
    RetrievalSet set;
    set.source = file_.string();
    for (size_t i = 0; i < images_.size(); ++i) {
      std::vector<std::string>& captions = captions_[i];
      if (captions.empty()) continue;  // nothing to be found by, or to find
      const auto limit = static_cast<size_t>(data_.captions_per_image);
      if (limit > 0 && captions.size() > limit) captions.resize(limit);
      set.images.push_back(std::move(images_[i]));
      for (std::string& caption : captions) {
        set.captions.push_back(std::move(caption));
        set.image_of_caption.push_back(static_cast<int64_t>(set.images.size()) - 1);
      }
    }
    if (set.captions.empty()) {
      throw FormatError(file_.native(),
                        splits_.empty()
                            ? "has no captions"
                            : fmt::format("has no captions of split '{}', only of {}",
                                          printable(data_.split), fmt::join(splits_, ", ")));
    }
    return set;
  }

 private:
  static std::vector<fs::path> roots_of(const fs::path& file, const RetrievalData& data) {
    if (!data.images.empty()) return {data.images};
    std::vector<fs::path> roots;
    for (const char* name : {"images", "flickr30k-images", "val2017", "val2014", "train2014",
                             "../images", "../val2017", "../val2014", "."}) {
      roots.push_back(file.parent_path() / name);
    }
    return roots;
  }

  fs::path file_;
  const RetrievalData& data_;
  PictureFinder finder_;
  std::set<std::string> splits_;
  std::vector<EvalImage> images_;
  std::vector<std::vector<std::string>> captions_;
  std::unordered_map<std::string, size_t> index_;
};

void read_karpathy(const Json& json, const std::string& split, const fs::path& file,
                   SetBuilder& builder) {
  std::vector<std::string> ids;
  for (const Json& image : require_field<Json>(json, "images")) {
    const auto split_of_image = field_or<std::string>(image, "split", "");
    builder.add_split(split_of_image);
    if (split_of_image != split) continue;
    const auto name = require_field<std::string>(image, "filename");
    const auto folder = field_or<std::string>(image, "filepath", "");
    ids.push_back(name);
    std::vector<std::string> names = {name};
    if (!folder.empty()) names.insert(names.begin(), folder + "/" + name);
    const size_t index = builder.add_image(name, names);
    for (const Json& sentence : require_field<Json>(image, "sentences")) {
      builder.add_caption(index, require_field<std::string>(sentence, "raw"),
                          fmt::format("picture '{}'", printable(name)));
    }
  }
  check_unique(ids, file.native());
}

void read_coco(const Json& json, const fs::path& file, SetBuilder& builder) {
  std::vector<std::string> ids;
  for (const Json& image : require_field<Json>(json, "images")) {
    ids.push_back(std::to_string(require_field<int64_t>(image, "id")));
    builder.add_image(ids.back(), {require_field<std::string>(image, "file_name")});
  }
  check_unique(ids, file.native());
  for (const Json& annotation : require_field<Json>(json, "annotations")) {
    const std::string id = std::to_string(require_field<int64_t>(annotation, "image_id"));
    if (!builder.has_image(id)) {
      throw FormatError(file.native(),
                        fmt::format("a caption is of picture {}, which is not in 'images'", id));
    }
    builder.add_caption(builder.image(id), require_field<std::string>(annotation, "caption"),
                        "picture " + id);
  }
}

/// Flickr30K numbers a picture's captions behind its name: 1000092795.jpg#0.
std::string without_number(const std::string& name) {
  const size_t hash = name.rfind('#');
  const bool numbered = hash != std::string::npos && hash + 1 < name.size() &&
                        name.find_first_not_of("0123456789", hash + 1) == std::string::npos;
  return numbered ? name.substr(0, hash) : name;
}

void read_table(const fs::path& file, SetBuilder& builder) {
  for (CaptionRow& row : read_caption_table(file)) {
    const std::string name = without_number(row.image);
    builder.add_caption(builder.add_image(name, {name}), std::move(row.caption),
                        fmt::format("line {}", row.line));
  }
}

void read_lines_of_json(const fs::path& file, SetBuilder& builder) {
  const std::string text = read_text_file(file);
  int64_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::string place = fmt::format("line {}", ++line_number);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Json json = parse_json(line, fmt::format("{}: {}", file.native(), place));
    const auto name = require_field<std::string>(json, "image");
    const size_t image = builder.add_image(name, {name});
    if (const auto caption = find_field<std::string>(json, "caption")) {
      builder.add_caption(image, *caption, place);
    }
    for (std::string& caption :
         field_or<std::vector<std::string>>(json, "captions", std::vector<std::string>{})) {
      builder.add_caption(image, std::move(caption), place);
    }
  }
}

}  // namespace

RetrievalSet load_retrieval(const RetrievalData& data) {
  const fs::path file = fs::is_directory(data.path)
                            ? find_data_file(data.path, kCaptionFiles, "captions")
                            : data.path;
  if (data.captions_per_image < 0) {
    throw ConfigError(fmt::format("'captions-per-image' is {}, expected 0 (all) or more",
                                  data.captions_per_image));
  }
  SetBuilder builder(file, data);
  try {
    if (file.extension() == ".json") {
      const Json json = read_json(file);
      if (json.is_object() && json.contains("annotations")) {
        read_coco(json, file, builder);
      } else {
        read_karpathy(json, data.split, file, builder);
      }
    } else if (file.extension() == ".jsonl") {
      read_lines_of_json(file, builder);
    } else {
      read_table(file, builder);
    }
  } catch (const ConfigError& error) {
    throw FormatError(file.native(), error.what());
  }
  return builder.finish();
}

}  // namespace e5v::detail
