#include "e5v/checkpoint/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr size_t kMaxNamesShown = 100;

std::string list_names(const std::vector<std::string>& names) {
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kMaxNamesShown); ++i) {
    list += fmt::format("{}{}", i == 0 ? "" : ", ", printable(names[i], 200));
  }
  if (names.size() > kMaxNamesShown) {
    list += fmt::format(" and {} more", names.size() - kMaxNamesShown);
  }
  return list;
}

/// True if `path` names something; a link to nowhere does, so that opening it says what is wrong.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// Why a folder without safetensors has no weights to offer.
std::string explain_no_weights(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().native();
    if (name.starts_with("pytorch_model") && name.ends_with(".bin")) {
      return fmt::format(
          "only {} is there, a pickle that could run code; convert it once in Python with "
          "AutoModelForImageTextToText.from_pretrained(DIR).save_pretrained(NEW_DIR)",
          printable(name));
    }
    if (name.starts_with("model-") && name.ends_with(".safetensors")) {
      return fmt::format("shards such as {} are there but no {}; incomplete download?",
                         printable(name), kIndexFile);
    }
  }
  if (error) return error.message();
  return fmt::format("neither {} nor {} is there", kSingleFile, kIndexFile);
}

/// The index's map of tensor names to shards' file names, checked.
std::map<std::string, std::string> read_weight_map(const fs::path& index_path) {
  const Json index = read_json(index_path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw FormatError(index_path.native(), "has no object 'weight_map'");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (!file.is_string()) {
      throw FormatError(index_path.native(),
                        fmt::format("weight_map '{}' is a {}, expected a file name",
                                    printable(name), file.type_name()));
    }
    const auto& file_name = file.get_ref<const std::string&>();
    // A path could lead out of the folder.
    if (file_name.empty() || file_name == "." || file_name == ".." ||
        file_name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      throw FormatError(index_path.native(),
                        fmt::format("weight_map '{}' is '{}', expected the name of a file in the "
                                    "same folder",
                                    printable(name), printable(file_name)));
    }
    weight_map.emplace(name, file_name);
  }
  return weight_map;
}

}  // namespace

bool Checkpoint::exists(const fs::path& path) {
  if (fs::is_directory(path)) return is_there(path / kSingleFile) || is_there(path / kIndexFile);
  return path.extension() == ".safetensors" && is_there(path);
}

Checkpoint Checkpoint::open(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw FileError(path.native(), "cannot open", error ? error.message() : system_reason(ENOENT));
  }
  if (!fs::is_directory(status)) return open_file(path);
  if (is_there(path / kSingleFile)) return open_file(path / kSingleFile);
  if (is_there(path / kIndexFile)) return open_index(path / kIndexFile);
  throw FileError(path.native(), "has no weights", explain_no_weights(path));
}

Checkpoint Checkpoint::open_file(const fs::path& path) {
  Checkpoint checkpoint;
  checkpoint.shards_.push_back(std::make_unique<SafetensorsFile>(path));
  checkpoint.names_ = checkpoint.shards_[0]->names();
  std::sort(checkpoint.names_.begin(), checkpoint.names_.end());
  for (const std::string& name : checkpoint.names_) checkpoint.shard_index_.emplace(name, 0);
  return checkpoint;
}

Checkpoint Checkpoint::open_index(const fs::path& path) {
  const std::map<std::string, std::string> weight_map = read_weight_map(path);
  std::map<std::string, size_t> shard_files;  // file name -> position, in the order of the names
  for (const auto& [name, file_name] : weight_map) shard_files.emplace(file_name, 0);

  std::vector<std::string> missing;
  for (auto& [file_name, position] : shard_files) {
    if (!is_there(path.parent_path() / file_name)) missing.push_back(file_name);
  }
  if (!missing.empty()) {
    throw FileError(path.native(), "cannot open all shards",
                    fmt::format("{} of {} are missing: {}; incomplete download?", missing.size(),
                                shard_files.size(), list_names(missing)));
  }

  Checkpoint checkpoint;
  for (auto& [file_name, position] : shard_files) {
    position = checkpoint.shards_.size();
    checkpoint.shards_.push_back(std::make_unique<SafetensorsFile>(path.parent_path() / file_name));
  }
  for (const auto& [name, file_name] : weight_map) {
    const size_t position = shard_files[file_name];
    if (checkpoint.shards_[position]->find(name) == nullptr) {
      missing.push_back(fmt::format("{} ({})", name, file_name));
    }
    checkpoint.shard_index_.emplace(name, position);
    checkpoint.names_.push_back(name);
  }
  if (!missing.empty()) {
    throw FormatError(path.native(),
                      fmt::format("{} tensors are not in the shards that it names: {}",
                                  missing.size(), list_names(missing)));
  }
  return checkpoint;
}

const SafetensorsFile& Checkpoint::shard_of(std::string_view name) const {
  const auto found = shard_index_.find(name);
  if (found == shard_index_.end()) {
    throw InputError(fmt::format("the checkpoint has no tensor '{}'", printable(name)));
  }
  return *shards_[found->second];
}

std::optional<TensorView> Checkpoint::find(std::string_view name) const {
  if (!shard_index_.contains(name)) return std::nullopt;
  const SafetensorsFile& shard = shard_of(name);
  const TensorInfo& tensor = *shard.find(name);
  return TensorView{tensor.dtype, tensor.shape, shard.bytes(name)};
}

void Checkpoint::release(std::string_view name) const { shard_of(name).release(name); }

const fs::path& Checkpoint::file_of(std::string_view name) const { return shard_of(name).path(); }

std::vector<fs::path> Checkpoint::files() const {
  std::vector<fs::path> paths;
  for (const auto& shard : shards_) paths.push_back(shard->path());
  return paths;
}

}  // namespace e5v::detail
