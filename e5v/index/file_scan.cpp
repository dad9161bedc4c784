#include "e5v/index/file_scan.h"

#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/image/decode.h"  // is_image_path

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

class Scanner {
 public:
  Scanner(const std::vector<std::string>& excludes, FileScan& scan)
      : excludes_(excludes), scan_(scan) {}

  void scan_folder(const fs::path& root, const fs::path& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0 ||
        !seen_folders_.emplace(status.st_dev, status.st_ino).second) {
      return;
    }
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    for (const fs::directory_iterator end; !error && entries != end; entries.increment(error)) {
      const fs::path& path = entries->path();
      if (path.filename().native().starts_with('.') || is_excluded(root, path)) continue;
      std::error_code gone;
      if (entries->is_directory(gone)) {
        scan_folder(root, path);
      } else if (is_image_path(path)) {
        add(path);
      }
    }
    if (error) scan_.unread.push_back(folder);
  }

  void add(const fs::path& path) {
    if (const auto file = stat_file(path)) scan_.files.push_back(*file);
  }

 private:
  bool is_excluded(const fs::path& root, const fs::path& path) const {
    const std::string below = path.lexically_relative(root).native();
    const std::string name = path.filename().native();
    return std::any_of(excludes_.begin(), excludes_.end(), [&](const std::string& pattern) {
      const std::string& subject = pattern.find('/') == std::string::npos ? name : below;
      return ::fnmatch(pattern.c_str(), subject.c_str(), 0) == 0;
    });
  }

  const std::vector<std::string>& excludes_;
  FileScan& scan_;
  std::set<std::pair<dev_t, ino_t>> seen_folders_;
};

}  // namespace

std::optional<ScannedFile> stat_file(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return ScannedFile{.path = path,
                     .size = status.st_size,
                     .mtime_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

fs::path normal_path(const fs::path& path) {
  std::error_code error;
  const fs::path normal = fs::weakly_canonical(path, error);
  if (error) throw FileError(path.native(), "cannot look up", error.message());
  // A trailing slash gives an empty last part.
  return normal.has_filename() ? normal : normal.parent_path();
}

bool is_below(const fs::path& path, const fs::path& root) {
  const std::string& inner = path.native();
  const std::string& outer = root.native();
  if (!inner.starts_with(outer)) return false;
  return inner.size() == outer.size() || outer.ends_with('/') || inner[outer.size()] == '/';
}

FileScan scan_pictures(const std::vector<fs::path>& roots,
                       const std::vector<std::string>& excludes) {
  FileScan scan;
  Scanner scanner(excludes, scan);
  for (const fs::path& root : roots) {
    const fs::path path = normal_path(root);
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
      throw FileError(root.native(), "cannot open", error ? error.message() : "no such file");
    }
    if (fs::is_directory(status)) {
      scanner.scan_folder(path, path);
    } else {
      scanner.add(path);
    }
  }
  std::sort(scan.files.begin(), scan.files.end(),
            [](const auto& a, const auto& b) { return a.path.native() < b.path.native(); });
  const auto same_path = [](const auto& a, const auto& b) { return a.path == b.path; };
  scan.files.erase(std::unique(scan.files.begin(), scan.files.end(), same_path), scan.files.end());
  return scan;
}

}  // namespace e5v::detail
