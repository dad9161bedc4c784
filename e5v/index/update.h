#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "e5v/base/progress.h"
#include "e5v/image/decode.h"
#include "e5v/index/captions.h"
#include "e5v/index/collection.h"

namespace e5v::detail {

struct UpdateOptions {
  /// Pictures, and folders of pictures.
  std::vector<std::filesystem::path> roots;
  /// What to pass over (scan_pictures).
  std::vector<std::string> excludes;
  Captions captions;
  /// Threads that read and decode pictures; 0 = the usable cores.
  int64_t jobs = 0;
  DecodeOptions decode;
  /// Counts files, from those that are done already.
  ProgressCallback on_progress;
};

/// What became of the files.
struct UpdateReport {
  int64_t unchanged = 0;
  int64_t embedded = 0;
  int64_t moved = 0;   ///< known content at a new place, the old one gone
  int64_t copied = 0;  ///< known content at one more place
  int64_t removed = 0;
  std::vector<SkippedFile> skipped;  ///< all that cannot be embedded, also from earlier runs
  std::vector<std::filesystem::path> unread;  ///< folders that could not be listed

  bool changed() const { return embedded + moved + copied + removed > 0; }
};

/// Embeds pictures: takes them from `next` until nullopt, possibly on a thread of its own, and
/// passes for each, in order, its vector, or an empty one and why there is none.
using EmbedPictures = std::function<void(
    const std::function<std::optional<Image>()>& next,
    const std::function<void(std::span<const float> vector, const std::string& problem)>& done)>;

/// Makes the collection hold the pictures of `options.roots` as they are now: new and changed files
/// are embedded, moved ones recognised by their content, and those that are gone leave. Files that
/// cannot be decoded are noted and not tried again until they change. Items outside the roots stay.
///
/// What is done is kept whenever the process dies, and the next run goes on there; the result is
/// the same. `embed` is only called if there is something to embed. The caller holds a
/// CollectionLock. Throws FileError; what `embed` throws, after keeping what was embedded.
UpdateReport update_collection(Collection& collection, const UpdateOptions& options,
                               const EmbedPictures& embed);

}  // namespace e5v::detail
