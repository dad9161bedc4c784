#pragma once

#include <filesystem>

namespace e5v {

/// Copies what a model folder holds beside its weights: configuration, tokenizer, licence.
/// Not sub-folders. Throws FileError.
void copy_other_files(const std::filesystem::path& source, const std::filesystem::path& target);

/// A folder that is made under another name beside it and appears when it is complete; removed if
/// destroyed before.
class NewFolder {
 public:
  /// Throws FileError if `target` exists and is not an empty folder.
  explicit NewFolder(const std::filesystem::path& target);
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

}  // namespace e5v
