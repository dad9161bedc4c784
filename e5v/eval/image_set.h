#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "e5v/eval/system.h"

namespace e5v::detail {

/// What an evaluation does with pictures and texts that are missing or damaged.
enum class OnMissing {
  kStop,  ///< an error that lists all of them
  kSkip,  ///< the rest is evaluated, and the report says that its figures are partial
};

/// The first of `names` (relative paths) that exists in `folder`. Throws FileError that lists all
/// that were looked for; `what` says what they would have been.
std::filesystem::path find_data_file(const std::filesystem::path& folder,
                                     std::span<const std::string> names, const std::string& what);

/// Finds the files of a data set's pictures in the folders in which they may be.
class PictureFinder {
 public:
  explicit PictureFinder(std::vector<std::filesystem::path> roots) : roots_(std::move(roots)) {}

  /// The first root/name that exists, over all roots and in each over all names, which are relative
  /// paths. Where there is none, names are compared in Unicode's composed form, as file systems of
  /// other machines have decomposed ones, and with / for a \. Where that fails, too, the first
  /// root/name, for the message.
  std::filesystem::path find(std::span<const std::string> names);

 private:
  /// The file of that name in its folder, by its composed form; empty where there is none.
  std::filesystem::path find_composed(const std::filesystem::path& path);

  std::vector<std::filesystem::path> roots_;
  /// Of folders that were looked through: file names by their composed forms.
  std::map<std::filesystem::path, std::unordered_map<std::string, std::string>> names_;
};

/// Which of `images` have their files; what is missing goes to `skipped`. Throws InputError that
/// lists all missing ones if these are to stop the evaluation, and where none at all is there. A
/// drawn text is never missing.
std::vector<bool> check_images(std::span<const EvalImage> images, OnMissing on_missing,
                               std::vector<std::string>& skipped);

/// The same after embedding: throws InputError that lists `embedded.failed`, or notes them in
/// `skipped`. Returns which inputs have a vector. `name(i)` names input i.
std::vector<bool> check_embedded(const Embedded& embedded, OnMissing on_missing,
                                 const std::function<std::string(size_t)>& name,
                                 std::vector<std::string>& skipped);

/// Throws InputError naming the first id that is there twice; `where` is the file.
void check_unique(std::span<const std::string> ids, const std::string& where);

/// The vectors of those inputs that `kept` says.
Vectors select(const Vectors& vectors, const std::vector<bool>& kept);

}  // namespace e5v::detail
