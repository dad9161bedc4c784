#include "e5v/hub/pull.h"

#include <fnmatch.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultPatterns[] = {"*.json", "*.safetensors", "*.model", "*.txt",
                                            "*.jinja"};
constexpr const char* kDuplicates = "consolidated*.safetensors";
constexpr const char* kRecordName = ".e5v-pull.json";

bool matches(const std::string& path, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
  });
}

bool is_wanted(const std::string& path, const PullOptions& options) {
  if (matches(path, options.exclude)) return false;
  if (!options.include.empty()) return matches(path, options.include);
  return std::any_of(std::begin(kDefaultPatterns), std::end(kDefaultPatterns),
                     [&](const char* pattern) {
                       return ::fnmatch(pattern, path.c_str(), FNM_PATHNAME) == 0;
                     }) &&
         ::fnmatch(kDuplicates, path.c_str(), 0) != 0;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw FileError(folder.native(), "cannot create", error.message());
}

bool has_size(const fs::path& path, uint64_t size) {
  std::error_code error;
  return fs::is_regular_file(path, error) && fs::file_size(path, error) == size && !error;
}

/// Where the files of one repository go.
class Destination {
 public:
  virtual ~Destination() = default;
  virtual fs::path folder() const = 0;
  /// Where a file is downloaded to, and its name until then.
  virtual fs::path target(const HubFile& file) const = 0;
  virtual fs::path partial(const HubFile& file) const = 0;
  /// Whether the target is this very file already.
  virtual bool has(const HubFile& file) = 0;
  /// The target is complete.
  virtual void arrived(const HubFile& file) = 0;
  /// All targets are complete.
  virtual void finish() = 0;
};

/// A folder with the files under their own names. A record in it holds the size, time and digest of
/// each, so that a later run need not read gigabytes to see that nothing has changed.
class OutputFolder : public Destination {
 public:
  explicit OutputFolder(fs::path folder) : folder_(std::move(folder)) {
    make_folder(folder_);
    try {
      if (fs::exists(folder_ / kRecordName)) record_ = read_json(folder_ / kRecordName);
    } catch (const FormatError&) {
      // Without a record the files themselves are looked at.
    }
    if (!record_.is_object()) record_ = Json::object();
  }

  fs::path folder() const override { return folder_; }
  fs::path target(const HubFile& file) const override { return folder_ / file.path; }
  fs::path partial(const HubFile& file) const override {
    // Named by content too: what an older revision left must not be continued with a newer one.
    return target(file).native() + "." + file.digest.substr(0, 12) + ".incomplete";
  }

  bool has(const HubFile& file) override {
    if (!has_size(target(file), file.size)) return false;
    if (record_.value(file.path, Json()) == entry(file)) return true;
    if (file_digest(target(file), file.digest_kind) != file.digest) return false;
    arrived(file);
    return true;
  }

  void arrived(const HubFile& file) override {
    record_[file.path] = entry(file);
    write_file(folder_ / kRecordName, record_.dump(1) + "\n");
  }

  void finish() override {}

 private:
  Json entry(const HubFile& file) const {
    const auto time = fs::last_write_time(target(file)).time_since_epoch();
    return {{"digest", file.digest},
            {"size", file.size},
            {"time_ns", std::chrono::duration_cast<std::chrono::nanoseconds>(time).count()}};
  }

  fs::path folder_;
  Json record_ = Json::object();
};

/// The cache of huggingface_hub: blobs named by content, a folder of links a commit, and the commit
/// of each branch in refs. A blob that is there is complete and right.
class CacheFolder : public Destination {
 public:
  CacheFolder(const fs::path& cache, const PullOptions& options, std::string commit)
      : revision_(options.revision), commit_(std::move(commit)) {
    std::string name = "models--" + options.repository;
    name.replace(name.find('/'), 1, "--");
    root_ = cache / name;
  }

  fs::path folder() const override { return root_ / "snapshots" / commit_; }
  fs::path target(const HubFile& file) const override { return root_ / "blobs" / file.digest; }
  fs::path partial(const HubFile& file) const override {
    return target(file).native() + ".incomplete";
  }

  bool has(const HubFile& file) override {
    if (!has_size(target(file), file.size)) return false;
    arrived(file);
    return true;
  }

  void arrived(const HubFile& file) override {
    const fs::path link = folder() / file.path;
    make_folder(link.parent_path());
    std::error_code error;
    if (fs::equivalent(link, target(file), error)) return;
    fs::remove(link, error);
    fs::create_symlink(fs::relative(target(file), link.parent_path()), link, error);
    if (error) throw FileError(link.native(), "cannot create link", error.message());
  }

  void finish() override {
    if (revision_ == commit_) return;
    const fs::path ref = root_ / "refs" / revision_;
    make_folder(ref.parent_path());
    write_file(ref, commit_);
  }

 private:
  std::string revision_;
  std::string commit_;
  fs::path root_;
};

/// Bytes of `file` that are still to come.
uint64_t remaining_bytes(const HubFile& file, const Destination& destination) {
  std::error_code error;
  const auto begun = fs::file_size(destination.partial(file), error);
  return error || begun > file.size ? file.size : file.size - begun;
}

void check_space(const fs::path& folder, uint64_t needed_bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed_bytes) return;
  throw FileError(folder.native(), "cannot download",
                  fmt::format("{:.1f} GB are needed, {:.1f} GB are free",
                              static_cast<double>(needed_bytes) / 1e9,
                              static_cast<double>(space.available) / 1e9));
}

}  // namespace

void PullOptions::validate() const {
  const auto is_name = [](std::string_view name) {
    constexpr std::string_view kAllowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    return !name.empty() && name.size() <= 96 && name[0] != '.' &&
           name.find_first_not_of(kAllowed) == std::string_view::npos;
  };
  const std::string_view all = repository;
  const size_t slash = all.find('/');
  if (slash == std::string_view::npos || !is_name(all.substr(0, slash)) ||
      !is_name(all.substr(slash + 1))) {
    throw ConfigError(
        fmt::format("'{}' is no repository, expected OWNER/NAME", printable(repository)));
  }
  const bool leads_out = revision.starts_with('/') || revision.ends_with('/') ||
                         ("/" + revision + "/").find("/../") != std::string::npos;
  const bool has_control =
      std::any_of(revision.begin(), revision.end(), [](unsigned char c) { return c <= 0x20; });
  if (revision.empty() || leads_out || has_control) {
    throw ConfigError(
        fmt::format("'{}' is no revision, expected a branch, tag or commit", printable(revision)));
  }
}

PullResult pull(const PullOptions& options, const HubAccess& access, Logger& logger,
                const ProgressCallback& progress) {
  options.validate();
  Hub hub(access, logger);
  const HubListing listing = hub.list(options.repository, options.revision);
  std::unique_ptr<Destination> destination;
  if (options.output.empty()) {
    destination = std::make_unique<CacheFolder>(access.cache, options, listing.commit);
  } else {
    destination = std::make_unique<OutputFolder>(options.output);
  }
  make_folder(destination->folder());

  PullResult result{.folder = destination->folder(), .commit = listing.commit};
  std::vector<HubFile> missing;
  uint64_t missing_bytes = 0;
  uint64_t needed_bytes = 0;
  for (const HubFile& listed : listing.files) {
    if (!is_wanted(listed.path, options) || listed.path == kRecordName) continue;
    const HubFile file = hub.describe(options.repository, listing.commit, listed);
    result.paths.push_back(file.path);
    if (destination->has(file)) continue;
    missing_bytes += file.size;
    needed_bytes += remaining_bytes(file, *destination);
    missing.push_back(file);
  }
  if (result.paths.empty()) {
    throw InputError(fmt::format("{} at revision {}: none of its {} files is wanted{}",
                                 options.repository, options.revision, listing.files.size(),
                                 options.include.empty() ? " (choose with --include)" : ""));
  }
  check_space(destination->folder(), needed_bytes);
  logger.info("{} at commit {}: {} files, {} to download ({:.1f} MB)", options.repository,
              listing.commit.substr(0, 12), result.paths.size(), missing.size(),
              static_cast<double>(needed_bytes) / 1e6);
  for (const HubFile& file : missing) {
    make_folder(destination->target(file).parent_path());
    hub.download(options.repository, listing.commit, file, destination->partial(file),
                 destination->target(file), [&](uint64_t file_bytes) {
                   progress(result.downloaded_bytes + file_bytes, missing_bytes);
                 });
    destination->arrived(file);
    result.downloaded_bytes += file.size;
    ++result.num_downloaded;
  }
  destination->finish();
  return result;
}

}  // namespace e5v::detail
