#pragma once

#include <filesystem>
#include <string_view>

namespace e5v::detail {

/// A folder that is made under another name beside it and appears when it is complete; removed if
/// destroyed before.
class NewFolder {
 public:
  /// `what` goes there, for the message. Throws FileError if `target` exists and is not an empty
  /// folder.
  NewFolder(const std::filesystem::path& target, std::string_view what);
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  ~NewFolder();

  /// Where to write; not made yet.
  const std::filesystem::path& path() const { return path_; }
  /// Throws FileError.
  void commit();

 private:
  std::filesystem::path target_, path_;
};

}  // namespace e5v::detail
