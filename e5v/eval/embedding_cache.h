#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "e5v/base/content_hash.h"
#include "e5v/base/file.h"

namespace e5v::detail {

/// Vectors on disk by the hash of what they are of. A file for each model, to which vectors are
/// appended as they come: a run that is interrupted loses those of its last batch at the most, and
/// a record that was cut off or damaged is not used.
///
/// One process at a time has a file; for one thread at a time.
class EmbeddingCache {
 public:
  /// Keeps nothing.
  EmbeddingCache() = default;
  /// Opens or makes `folder`/`fingerprint`.vectors. Throws FileError, also where another process
  /// has it open, and FormatError if the file is of another kind or its vectors of another length.
  EmbeddingCache(const std::filesystem::path& folder, ContentHash fingerprint, int64_t dimensions);
  EmbeddingCache(EmbeddingCache&& other) noexcept;
  EmbeddingCache& operator=(EmbeddingCache&& other) noexcept;
  ~EmbeddingCache();

  /// The vector of that key, or nullopt. Those added since the file was opened are not found.
  std::optional<std::span<const float>> find(ContentHash key) const;
  bool contains(ContentHash key) const { return offsets_.contains(key); }
  /// Throws FileError if it cannot be written.
  void add(ContentHash key, std::span<const float> vector);

  size_t size() const { return offsets_.size(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  void close();

  std::filesystem::path path_;
  int64_t dimensions_ = 0;
  int descriptor_ = -1;
  std::optional<MappedFile> file_;
  std::unordered_map<ContentHash, size_t> offsets_;  // of the vectors' first bytes
};

}  // namespace e5v::detail
