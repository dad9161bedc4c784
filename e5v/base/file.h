#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace e5v::detail {

/// A file's bytes, mapped read-only. Movable, not copyable. Thread-safe once made.
class MappedFile {
 public:
  /// Maps the whole of `path`; an empty file gives an empty span.
  /// Throws FileError if it cannot be opened or is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  /// Tells the kernel that [offset, offset + size) will not be read again soon, so that its pages
  /// no longer count as this process's memory. The bytes stay readable.
  void release(size_t offset, size_t size) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The whole content of `path`, which may be a pipe. Throws FileError, also where it is longer than
/// `max_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = UINT64_C(1) << 32);

/// A file that appears under its name only when complete: written beside it under a temporary name,
/// synced and renamed by `commit`; removed again if destroyed before that. A symbolic link is
/// followed; a device or pipe (/dev/null, /dev/stdout) is written to directly. Throws FileError
/// from every member, naming the final path (a full disk shows as such).
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes);
  /// Overwrites bytes already written, e.g. a header whose counts were not known before.
  void write_at(uint64_t offset, std::string_view bytes);
  uint64_t size() const { return size_; }
  void commit();

 private:
  void flush();

  std::filesystem::path path_;
  std::filesystem::path temporary_path_;  // empty: written directly
  int descriptor_ = -1;
  uint64_t size_ = 0;
  std::string buffer_;
};

/// Writes `content` to `path` through an AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace e5v::detail
