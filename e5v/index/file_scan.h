#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace e5v::detail {

/// A picture's file as a folder's listing shows it.
struct ScannedFile {
  std::filesystem::path path;  ///< absolute
  int64_t size = 0;
  int64_t mtime_ns = 0;
};

struct FileScan {
  std::vector<ScannedFile> files;             ///< sorted by path, none twice
  std::vector<std::filesystem::path> unread;  ///< folders that could not be listed
};

/// The pictures (.jpg .jpeg .png .webp .gif .bmp) among `roots` and in them, sub-folders included.
/// Hidden files and folders are passed over, and what matches one of `excludes`: shell patterns on
/// a name, or on a path below its root if they hold a slash. Links are followed, each folder once.
/// Throws FileError if a root does not exist: a disk that is not there must not look empty.
FileScan scan_pictures(const std::vector<std::filesystem::path>& roots,
                       const std::vector<std::string>& excludes);

/// The file's size and time; nullopt if it is not a regular file any more.
std::optional<ScannedFile> stat_file(const std::filesystem::path& path);

/// True if `path` is `root` or lies below it; both absolute and normal.
bool is_below(const std::filesystem::path& path, const std::filesystem::path& root);

/// Absolute and normal, links in the folders' part resolved as far as it exists.
std::filesystem::path normal_path(const std::filesystem::path& path);

}  // namespace e5v::detail
