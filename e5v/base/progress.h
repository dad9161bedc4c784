#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace e5v::detail {

/// What library code reports its progress to: how much of how much is done (total 0: unknown).
using ProgressCallback = std::function<void(uint64_t done, uint64_t total)>;

/// In what progress is counted.
enum class ProgressUnit { kItems, kBytes };

/// One line of progress, without a line end, e.g. `embed  412/5000  8%  31.2/s  2m27s left`.
/// `total` 0 means unknown: then no share and no time left are shown.
/// Of what is done, `done_before` was done before the clock started.
std::string progress_line(std::string_view label, uint64_t done, uint64_t total, double elapsed_s,
                          ProgressUnit unit, uint64_t done_before = 0);

/// A progress bar on stderr. On a terminal it redraws one line in place; elsewhere it prints a line
/// about every 10 s. Nothing is shown in the first 2 s. Thread-safe.
class Progress {
 public:
  /// Where the lines go and what time it is; replaced in tests.
  struct Surroundings {
    bool redraw;  ///< the line can be redrawn in place
    std::function<void(std::string_view)> write;
    std::function<double()> seconds;  ///< a steady clock
  };

  /// `quiet` shows nothing at all.
  Progress(std::string label, ProgressUnit unit, bool quiet);
  Progress(std::string label, ProgressUnit unit, Surroundings surroundings);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Clears the redrawn line, or ends with a last line if any was printed.
  ~Progress();

  /// So much was done before: the rate and the time left do not count it. Only the first call
  /// counts.
  void start_from(uint64_t done);
  void update(uint64_t done, uint64_t total);
  /// What stands before the numbers from now on.
  void set_label(std::string label);
  /// `update` as a callback; the Progress must outlive it.
  ProgressCallback callback();

 private:
  std::string label_;
  ProgressUnit unit_;
  Surroundings surroundings_;
  std::mutex mutex_;
  double started_s_ = 0;
  double shown_s_ = 0;
  bool shown_ = false;
  std::optional<uint64_t> done_before_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace e5v::detail
