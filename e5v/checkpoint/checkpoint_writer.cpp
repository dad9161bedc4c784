#include <set>
#include <system_error>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/checkpoint/checkpoint.h"

namespace e5v::detail {
namespace {

/// Without it, transformers refuses the file: it does not know which library wrote it.
const std::map<std::string, std::string, std::less<>> kMetadata = {{"format", "pt"}};

/// Each shard's writer looks at its own names only.
void check_names(const std::vector<TensorSpec>& tensors) {
  std::set<std::string_view> names;
  for (const TensorSpec& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw InputError(fmt::format("tensor name '{}' is repeated", printable(tensor.name)));
    }
  }
}

/// Cuts the list into shards; an impossible shape counts nothing and is refused when its shard
/// begins.
std::vector<std::vector<TensorSpec>> cut_into_shards(std::vector<TensorSpec> tensors,
                                                     uint64_t max_shard_bytes) {
  std::vector<std::vector<TensorSpec>> shards(1);
  uint64_t shard_bytes = 0;
  for (TensorSpec& tensor : tensors) {
    const uint64_t bytes = checked_tensor_bytes(tensor.dtype, tensor.shape).value_or(0);
    if (!shards.back().empty() &&
        (shard_bytes > max_shard_bytes || bytes > max_shard_bytes - shard_bytes)) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(std::move(tensor));
    shard_bytes += bytes;
  }
  return shards;
}

}  // namespace

CheckpointWriter::CheckpointWriter(const std::filesystem::path& folder,
                                   std::vector<TensorSpec> tensors, uint64_t max_shard_bytes)
    : folder_(folder) {
  check_names(tensors);
  shards_ = cut_into_shards(std::move(tensors), max_shard_bytes);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw FileError(folder.native(), "cannot create", error.message());
  if (Checkpoint::exists(folder)) {
    throw FileError(folder.native(), "cannot write a checkpoint",
                    "it already holds one; expected a folder without weights");
  }
  start_next_shard();
}

std::string CheckpointWriter::file_name_of(size_t shard) const {
  if (shards_.size() == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards_.size());
}

void CheckpointWriter::start_next_shard() {
  const size_t shard = writers_.size();
  writers_.push_back(std::make_unique<SafetensorsWriter>(folder_ / file_name_of(shard),
                                                         shards_[shard], kMetadata));
}

void CheckpointWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  while (writers_.back()->complete() && writers_.size() < shards_.size()) start_next_shard();
  writers_.back()->write(name, bytes);
}

void CheckpointWriter::commit() {
  writers_.back()->check_complete();
  while (writers_.size() < shards_.size()) {
    start_next_shard();
    writers_.back()->check_complete();  // it may hold nothing but empty tensors
  }
  Json weight_map = Json::object();
  uint64_t total_bytes = 0;
  for (size_t shard = 0; shard < shards_.size(); ++shard) {
    writers_[shard]->commit();
    for (const TensorSpec& tensor : shards_[shard]) {
      weight_map[tensor.name] = file_name_of(shard);
      total_bytes += checked_tensor_bytes(tensor.dtype, tensor.shape).value();
    }
  }
  if (shards_.size() == 1) return;
  const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  write_file(folder_ / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace e5v::detail
