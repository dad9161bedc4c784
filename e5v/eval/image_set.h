#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "e5v/eval/system.h"

namespace e5v {

/// What an evaluation does with pictures and texts that are missing or damaged.
enum class OnMissing {
  kStop,  ///< an error that lists all of them
  kSkip,  ///< the rest is evaluated, and the report says that its figures are partial
};

/// The first of `names` (relative paths) that exists in `folder`. Throws FileError that lists all
/// that were looked for; `what` says what they would have been.
std::filesystem::path find_data_file(const std::filesystem::path& folder,
                                     std::span<const std::string> names, const std::string& what);

/// The first existing root/name over all roots and names, or an empty path.
std::filesystem::path find_picture(std::span<const std::filesystem::path> roots,
                                   std::span<const std::string> names);

/// `images` whose files are there, and what is missing. Throws InputError that lists all missing
/// ones if these are to stop the evaluation. A drawn text is never missing.
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

}  // namespace e5v
