#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// The folder that a training run writes:
///   recipe.json                 every option, seed and revision of the run
///   metrics.jsonl               an object a step
///   checkpoints/step-00000050/  what the run can be continued from
///   loss.svg and the result     at the end
class RunFolder {
 public:
  struct Saved {
    int64_t step;
    std::filesystem::path folder;
  };

  /// Creates `path` where needed. Throws FileError.
  explicit RunFolder(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  /// Complete checkpoints, oldest first.
  std::vector<Saved> checkpoints() const;

  /// Makes the checkpoint of `step`: `write` fills a folder, which appears under its name only when
  /// complete and on disk. Where that fails, e.g. on a full disk, what was written is removed, the
  /// checkpoints before stay, and FileError is thrown. Then all but the newest `keep` are removed.
  void save_checkpoint(int64_t step, int64_t keep,
                       const std::function<void(const std::filesystem::path& folder)>& write) const;

  /// Drops the metrics of steps after `last_step`, which a continued run does again, and a line
  /// that was cut off. Throws FileError.
  void rewind_metrics(int64_t last_step) const;
  /// Appends a line. Throws FileError.
  void add_metrics(const Json& metrics) const;
  /// The objects of metrics.jsonl, complete lines only.
  std::vector<Json> metrics() const;

  /// True if a run has been here: then a new one must not mix with it.
  bool has_run() const;

 private:
  std::filesystem::path path_;
};

}  // namespace e5v::detail
