#include "e5v/train/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>

#include "e5v/base/error.h"
#include "e5v/base/file.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepPrefix = "step-";

void create_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw FileError(path.native(), "cannot create", error.message());
}

/// Makes the names in a folder survive a power cut.
void sync_folder(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw FileError(path.native(), "cannot open", system_reason(errno));
  const int status = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  if (status != 0) throw FileError(path.native(), "cannot sync", system_reason(reason));
}

void remove_folder(const fs::path& path) {
  std::error_code ignored;  // what cannot be removed is in nobody's way
  fs::remove_all(path, ignored);
}

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* begin = name.data() + kStepPrefix.size();
  const char* end = name.data() + name.size();
  const auto [last, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || last != end) return std::nullopt;
  return step;
}

}  // namespace

RunFolder::RunFolder(const fs::path& path) : path_(path) { create_folder(path / "checkpoints"); }

std::vector<RunFolder::Saved> RunFolder::checkpoints() const {
  std::vector<Saved> saved;
  for (const auto& entry : fs::directory_iterator(path_ / "checkpoints")) {
    const auto step = step_of(entry.path().filename());
    if (step && entry.is_directory()) saved.push_back({*step, entry.path()});
  }
  std::sort(saved.begin(), saved.end(),
            [](const Saved& a, const Saved& b) { return a.step < b.step; });
  return saved;
}

void RunFolder::save_checkpoint(int64_t step, int64_t keep,
                                const std::function<void(const fs::path&)>& write) const {
  const fs::path parent = path_ / "checkpoints";
  const fs::path partial = parent / ".partial";
  const fs::path complete = parent / fmt::format("{}{:08}", kStepPrefix, step);
  remove_folder(partial);  // of a run that was killed here
  create_folder(partial);
  try {
    write(partial);
    sync_folder(partial);
    remove_folder(complete);
    std::error_code error;
    fs::rename(partial, complete, error);
    if (error) throw FileError(complete.native(), "cannot rename", error.message());
    sync_folder(parent);
  } catch (...) {
    remove_folder(partial);
    throw;
  }
  const auto saved = checkpoints();
  const auto num_old = static_cast<int64_t>(saved.size()) - keep;
  for (int64_t i = 0; i < num_old; ++i) remove_folder(saved[static_cast<size_t>(i)].folder);
}

std::vector<Json> RunFolder::metrics() const {
  std::vector<Json> all;
  const fs::path path = path_ / "metrics.jsonl";
  if (!fs::exists(path)) return all;
  const std::string content = read_file(path);
  for (size_t at = 0; at < content.size();) {
    const size_t end = content.find('\n', at);
    if (end == std::string::npos) break;  // cut off by a kill
    all.push_back(parse_json(std::string_view(content).substr(at, end - at), path.native()));
    at = end + 1;
  }
  return all;
}

void RunFolder::rewind_metrics(int64_t last_step) const {
  std::string kept;
  for (const Json& one : metrics()) {
    if (field_or<int64_t>(one, "step", 0) <= last_step) kept += one.dump() + "\n";
  }
  write_file(path_ / "metrics.jsonl", kept);
}

void RunFolder::add_metrics(const Json& metrics) const {
  const fs::path path = path_ / "metrics.jsonl";
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) throw FileError(path.native(), "cannot open", system_reason(errno));
  const std::string line = metrics.dump() + "\n";
  const ssize_t written = ::write(descriptor, line.data(), line.size());
  const int reason = errno;
  ::close(descriptor);
  if (written != static_cast<ssize_t>(line.size())) {
    throw FileError(path.native(), "cannot write", system_reason(written < 0 ? reason : ENOSPC));
  }
}

bool RunFolder::has_run() const {
  return fs::exists(path_ / "recipe.json") || !checkpoints().empty();
}

}  // namespace e5v::detail
