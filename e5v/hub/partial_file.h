#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace e5v::detail {

/// A file that is being downloaded and outlives a failed try. Locked, so that two processes do not
/// write it at once. Throws FileError from every member.
class PartialFile {
 public:
  /// Opens `path`, or makes it with its folders. Throws too if another process has it.
  explicit PartialFile(const std::filesystem::path& path);
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  /// Closes it; its bytes stay.
  ~PartialFile();

  uint64_t size() const { return size_; }
  void append(std::string_view bytes);
  void clear();
  /// Removes the file.
  void remove();
  /// Syncs it and moves it to `target`, on the same file system.
  void move_to(const std::filesystem::path& target);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace e5v::detail
