#include "e5v/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

namespace e5v::detail {
namespace {

constexpr double kSilence_s = 2;
constexpr double kRedrawEvery_s = 0.2;
constexpr double kPrintEvery_s = 10;

Progress::Surroundings stderr_surroundings(bool quiet) {
  return {.redraw = ::isatty(STDERR_FILENO) != 0,
          .write =
              quiet ? std::function<void(std::string_view)>() : [](std::string_view text) {
                std::fwrite(text.data(), 1, text.size(), stderr);
                std::fflush(stderr);
              },
          .seconds = [] {
            const auto now = std::chrono::steady_clock::now().time_since_epoch();
            return std::chrono::duration<double>(now).count();
          }};
}

std::string amount(double value, ProgressUnit unit) {
  if (unit == ProgressUnit::kItems) return fmt::format("{:.0f}", value);
  constexpr const char* kNames[] = {"B", "kB", "MB", "GB", "TB"};
  size_t power = 0;
  for (; value >= 1000 && power + 1 < std::size(kNames); ++power) value /= 1000;
  return fmt::format("{:.{}f} {}", value, power == 0 ? 0 : 1, kNames[power]);
}

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(std::min(seconds, 3.6e8) + 0.5);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

}  // namespace

std::string progress_line(std::string_view label, uint64_t done, uint64_t total, double elapsed_s,
                          ProgressUnit unit, uint64_t done_before) {
  const auto done_amount = static_cast<double>(done);
  const auto total_amount = static_cast<double>(total);
  std::string line = fmt::format("{}  {}", label, amount(done_amount, unit));
  if (total > 0) {
    line += fmt::format("/{}  {:.0f}%", amount(total_amount, unit),
                        std::floor(100 * std::min(1.0, done_amount / total_amount)));
  }
  if (done <= done_before || elapsed_s <= 0) return line;
  const double rate = static_cast<double>(done - done_before) / elapsed_s;
  line += unit == ProgressUnit::kItems ? fmt::format("  {:.3g}/s", rate)
                                       : fmt::format("  {}/s", amount(rate, unit));
  if (done < total) line += fmt::format("  {} left", duration((total_amount - done_amount) / rate));
  return line;
}

Progress::Progress(std::string label, ProgressUnit unit, bool quiet)
    : Progress(std::move(label), unit, stderr_surroundings(quiet)) {}

Progress::Progress(std::string label, ProgressUnit unit, Surroundings surroundings)
    : label_(std::move(label)), unit_(unit), surroundings_(std::move(surroundings)) {
  started_s_ = shown_s_ = surroundings_.seconds();
}

Progress::~Progress() {
  if (!shown_) return;
  if (surroundings_.redraw) {
    surroundings_.write("\r\x1b[K");
  } else {
    const double elapsed_s = surroundings_.seconds() - started_s_;
    surroundings_.write(
        progress_line(label_, done_, total_, elapsed_s, unit_, done_before_.value_or(0)) + "\n");
  }
}

void Progress::start_from(uint64_t done) {
  const std::lock_guard lock(mutex_);
  if (!done_before_) done_before_ = done;
}

void Progress::update(uint64_t done, uint64_t total) {
  if (!surroundings_.write) return;
  const std::lock_guard lock(mutex_);
  done_ = done;
  total_ = total;
  const double now_s = surroundings_.seconds();
  const double pause_s = surroundings_.redraw ? kRedrawEvery_s : kPrintEvery_s;
  if (now_s - started_s_ < kSilence_s || now_s - shown_s_ < pause_s) return;
  shown_ = true;
  shown_s_ = now_s;
  const std::string line =
      progress_line(label_, done, total, now_s - started_s_, unit_, done_before_.value_or(0));
  surroundings_.write(surroundings_.redraw ? "\r\x1b[K" + line : line + "\n");
}

void Progress::set_label(std::string label) {
  const std::lock_guard lock(mutex_);
  label_ = std::move(label);
}

ProgressCallback Progress::callback() {
  return [this](uint64_t done, uint64_t total) { update(done, total); };
}

}  // namespace e5v::detail
