#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/checkpoint/safetensors.h"

namespace e5v::detail {

/// A stored tensor, seen in place. Valid as long as the Checkpoint it came from.
struct TensorView {
  DType dtype;
  std::span<const int64_t> shape;
  std::span<const std::byte> bytes;  ///< row-major, little-endian, any alignment
};

/// The tensors of a Hugging Face model folder, whether in one safetensors file or in shards.
/// Knows nothing of what the names mean. Immutable; every method is const and thread-safe.
class Checkpoint {
 public:
  /// Opens `path`: a .safetensors file, or a folder with `model.safetensors` or else
  /// `model.safetensors.index.json` and its shards (the order in which transformers looks). Only
  /// headers are read. Where there is an index, it alone says which tensors there are. Throws
  /// FileError if there is none (saying so if only pytorch_model.bin is there) or shards are
  /// missing, all of them named; FormatError if a file is broken or a shard lacks tensors of the
  /// index.
  static Checkpoint open(const std::filesystem::path& path);

  /// True if `path` is something that `open` would find weights in, broken or not.
  static bool exists(const std::filesystem::path& path);

  /// Sorted.
  const std::vector<std::string>& names() const { return names_; }

  /// The tensor of that name, or nullopt.
  std::optional<TensorView> find(std::string_view name) const;

  /// Lets the kernel drop the pages of a tensor that was used for the last time (it can still be
  /// read again), so that a mapped checkpoint does not count as this process's memory. Unknown:
  /// InputError.
  void release(std::string_view name) const;

  /// The file that holds the tensor. Unknown: InputError.
  const std::filesystem::path& file_of(std::string_view name) const;

  /// Every file opened, in order.
  std::vector<std::filesystem::path> files() const;

 private:
  Checkpoint() = default;
  static Checkpoint open_file(const std::filesystem::path& path);
  static Checkpoint open_index(const std::filesystem::path& path);
  const SafetensorsFile& shard_of(std::string_view name) const;

  std::vector<std::unique_ptr<SafetensorsFile>> shards_;
  std::map<std::string, size_t, std::less<>> shard_index_;  // tensor name -> position in shards_
  std::vector<std::string> names_;
};

/// Writes a checkpoint folder's weights as a stream, in shards where they do not fit into one file,
/// as `save_pretrained` names and indexes them. No weights appear before `commit`.
class CheckpointWriter {
 public:
  static constexpr uint64_t kDefaultMaxShardBytes = UINT64_C(5'000'000'000);

  /// `tensors` is the complete list, in the order of writing. A shard takes tensors as long as they
  /// fit into `max_shard_bytes`; a larger tensor gets a shard of its own. Creates `folder` if
  /// needed. Throws FileError if the folder already holds weights or cannot be written, InputError
  /// as SafetensorsWriter.
  CheckpointWriter(const std::filesystem::path& folder, std::vector<TensorSpec> tensors,
                   uint64_t max_shard_bytes = kDefaultMaxShardBytes);

  /// As SafetensorsWriter::write.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Writes the index and makes every file appear, the index last. Throws InputError naming the
  /// first tensor whose bytes are missing, before anything has appeared; FileError if writing
  /// fails.
  void commit();

 private:
  std::string file_name_of(size_t shard) const;
  void start_next_shard();

  std::filesystem::path folder_;
  std::vector<std::vector<TensorSpec>> shards_;
  std::vector<std::unique_ptr<SafetensorsWriter>> writers_;  // of the shards begun; all but the
                                                             // last are complete
};

}  // namespace e5v::detail
