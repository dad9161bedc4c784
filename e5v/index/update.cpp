#include "e5v/index/update.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "e5v/base/digest.h"
#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/threads.h"
#include "e5v/index/file_scan.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// So much is lost at the most when a run is killed.
constexpr size_t kMaxUncommitted = 256;
constexpr std::chrono::milliseconds kCommitEvery{1000};

/// A file's content, read once, so that hash and vector are of the same bytes.
struct LoadedFile {
  ScannedFile file;
  std::string hash;
  std::optional<Image> image;  // only where the hash was not known before
  std::string problem;         // why there is no image
};

LoadedFile load_file(const ScannedFile& file, const std::unordered_set<std::string>& known_hashes,
                     const DecodeOptions& decode) {
  LoadedFile loaded{.file = file};
  try {
    const std::string bytes = read_file(file.path, static_cast<uint64_t>(decode.max_bytes));
    Digest digest(DigestKind::kSha256, bytes.size());
    digest.update(bytes);
    loaded.hash = digest.finish();
    if (!known_hashes.contains(loaded.hash)) {
      loaded.image = decode_image(std::as_bytes(std::span(bytes)), file.path.native(), decode);
    }
  } catch (const Error& error) {
    loaded.problem = error.what();
  } catch (const std::bad_alloc&) {
    loaded.problem = file.path.native() + ": not enough memory to decode it";
  }
  return loaded;
}

/// Loads files ahead on several threads and gives them out in order.
class FileLoader {
 public:
  FileLoader(std::vector<ScannedFile> files, std::unordered_set<std::string> known_hashes,
             const DecodeOptions& decode, size_t num_jobs)
      : files_(std::move(files)),
        known_hashes_(std::move(known_hashes)),
        decode_(decode),
        num_jobs_(num_jobs) {}

  std::optional<LoadedFile> next() {
    while (loading_.size() < num_jobs_ && started_ < files_.size()) {
      loading_.push_back(std::async(std::launch::async, load_file, std::cref(files_[started_++]),
                                    std::cref(known_hashes_), std::cref(decode_)));
    }
    if (loading_.empty()) return std::nullopt;
    LoadedFile loaded = loading_.front().get();
    loading_.pop_front();
    return loaded;
  }

 private:
  const std::vector<ScannedFile> files_;
  const std::unordered_set<std::string> known_hashes_;
  const DecodeOptions decode_;
  const size_t num_jobs_;
  size_t started_ = 0;
  std::deque<std::future<LoadedFile>> loading_;
};

class Updater {
 public:
  Updater(Collection& collection, const UpdateOptions& options)
      : collection_(collection),
        options_(options),
        scan_(scan_pictures(options.roots, options.excludes)) {
    for (const ScannedFile& file : scan_.files) present_.insert(file.path.native());
    collection.for_each_item([&](const CollectionItem& item) {
      if (item.mtime_ns == 0) return;  // not a file
      items_.emplace(item.id, item);
      by_path_.emplace(item.path, item.id);
    });
    for (SkippedFile& file : collection.skipped_files()) {
      skipped_.emplace(file.path, std::move(file));
    }
  }

  UpdateReport run(const EmbedPictures& embed);

 private:
  /// A file on its way into the collection, in the order of the paths.
  struct Entry {
    ScannedFile file;
    std::string hash;
    std::string problem;                  // not empty: it is skipped
    std::optional<CollectionItem> known;  // this item, with these fields, is the file
    bool same_content = false;            // the vector is that of an item or entry of the same hash
    std::vector<float> vector;
    bool done = false;
  };

  std::vector<ScannedFile> find_changed();
  void check_caption(const CollectionItem& item);
  std::optional<Image> next_image(FileLoader& loader);
  Entry classify(const LoadedFile& loaded);
  std::optional<CollectionItem> find_moved(const std::string& hash);
  CollectionItem item_for(const Entry& entry) const;
  void finish(std::span<const float> vector, const std::string& problem);
  void commit(bool everything);
  void collect(Entry& entry);
  void remove_gone();
  bool is_covered(const fs::path& path) const;
  void report_progress() const;

  Collection& collection_;
  const UpdateOptions& options_;
  const FileScan scan_;
  std::unordered_set<std::string> present_;
  std::unordered_map<int64_t, CollectionItem> items_;
  std::unordered_map<std::string, int64_t> by_path_;
  std::multimap<std::string, int64_t> by_hash_;  // items that this run leaves as they are
  std::map<std::string, SkippedFile> skipped_;
  std::unordered_set<int64_t> moved_;

  std::mutex mutex_;           // of entries_: `next` may be called on a thread of its own
  std::deque<Entry> entries_;  // classified, not yet committed
  std::unordered_set<std::string> on_their_way_;  // hashes that were given to the model

  CollectionChanges changes_;
  Clock::time_point committed_at_ = Clock::now();
  uint64_t num_done_ = 0;
  UpdateReport report_;
};

bool same_state(const ScannedFile& file, int64_t size, int64_t mtime_ns) {
  return file.size == size && file.mtime_ns == mtime_ns;
}

/// The files that have to be looked into; of the others, what can be told from the listing.
std::vector<ScannedFile> Updater::find_changed() {
  std::vector<ScannedFile> changed;
  for (const ScannedFile& file : scan_.files) {
    const auto known = by_path_.find(file.path.native());
    const auto skipped = skipped_.find(file.path.native());
    if (known != by_path_.end()) {
      const CollectionItem& item = items_.at(known->second);
      if (same_state(file, item.size, item.mtime_ns)) {
        check_caption(item);
        ++report_.unchanged;
        continue;
      }
    } else if (skipped != skipped_.end() &&
               same_state(file, skipped->second.size, skipped->second.mtime_ns)) {
      report_.skipped.push_back(skipped->second);
      continue;
    }
    changed.push_back(file);
  }
  num_done_ = scan_.files.size() - changed.size();
  // An item whose file may have changed cannot lend its vector: it may get another one first.
  std::unordered_set<std::string> changed_paths;
  for (const ScannedFile& file : changed) changed_paths.insert(file.path.native());
  for (const auto& [id, item] : items_) {
    if (!changed_paths.contains(item.path)) by_hash_.emplace(item.hash, id);
  }
  return changed;
}

void Updater::check_caption(const CollectionItem& item) {
  const Caption* caption = find_caption(options_.captions, item.path);
  if (!caption || (caption->text == item.caption && caption->metadata == item.metadata)) return;
  CollectionItem updated = item;
  updated.caption = caption->text;
  updated.metadata = caption->metadata;
  changes_.updated.push_back(std::move(updated));
}

/// Goes on to the next file that needs the model.
std::optional<Image> Updater::next_image(FileLoader& loader) {
  while (std::optional<LoadedFile> loaded = loader.next()) {
    const std::lock_guard lock(mutex_);
    entries_.push_back(classify(*loaded));
    if (!entries_.back().done) return std::move(*loaded->image);
  }
  return std::nullopt;
}

Updater::Entry Updater::classify(const LoadedFile& loaded) {
  Entry entry{.file = loaded.file, .hash = loaded.hash, .problem = loaded.problem};
  entry.done = true;
  if (!entry.problem.empty()) return entry;
  const auto at_path = by_path_.find(entry.file.path.native());
  if (at_path == by_path_.end()) {
    entry.known = find_moved(entry.hash);
  } else if (items_.at(at_path->second).hash == entry.hash) {
    entry.known = items_.at(at_path->second);  // only touched
  }
  if (entry.known) return entry;
  entry.same_content = by_hash_.contains(entry.hash) || !on_their_way_.insert(entry.hash).second;
  entry.done = entry.same_content;
  return entry;
}

/// An item of this content whose file is gone.
std::optional<CollectionItem> Updater::find_moved(const std::string& hash) {
  const auto [begin, end] = by_hash_.equal_range(hash);
  std::optional<CollectionItem> found;
  for (auto it = begin; it != end; ++it) {
    const CollectionItem& item = items_.at(it->second);
    std::error_code error;
    if (present_.contains(item.path) || moved_.contains(item.id)) continue;
    if (fs::exists(item.path, error) || error) continue;  // outside the roots, or not to be told
    if (!found || item.id < found->id) found = item;
  }
  if (found) moved_.insert(found->id);
  return found;
}

CollectionItem Updater::item_for(const Entry& entry) const {
  CollectionItem item{.kind = "image"};
  const auto at_path = by_path_.find(entry.file.path.native());
  if (entry.known) {
    item = *entry.known;
  } else if (at_path != by_path_.end()) {  // other content: what was said of it may still hold
    item.caption = items_.at(at_path->second).caption;
    item.metadata = items_.at(at_path->second).metadata;
  }
  item.path = entry.file.path.native();
  item.size = entry.file.size;
  item.mtime_ns = entry.file.mtime_ns;
  item.hash = entry.hash;
  if (const Caption* caption = find_caption(options_.captions, entry.file.path)) {
    item.caption = caption->text;
    item.metadata = caption->metadata;
  }
  return item;
}

/// The model has finished the first entry that waits for it.
void Updater::finish(std::span<const float> vector, const std::string& problem) {
  {
    const std::lock_guard lock(mutex_);
    const auto waiting = std::find_if(entries_.begin(), entries_.end(),
                                      [](const Entry& entry) { return !entry.done; });
    E5V_ASSERT(waiting != entries_.end());
    waiting->vector.assign(vector.begin(), vector.end());
    waiting->problem = problem;
    waiting->done = true;
  }
  commit(/*everything=*/false);
}

/// What becomes of a finished entry.
void Updater::collect(Entry& entry) {
  ++num_done_;
  const auto skip = [&](std::string reason) {
    // Errors begin with the path, which stands beside the reason already.
    const std::string place = printable(entry.file.path.native(), 4096) + ": ";
    if (reason.starts_with(place)) reason.erase(0, place.size());
    SkippedFile file{entry.file.path.native(), entry.file.size, entry.file.mtime_ns, reason};
    report_.skipped.push_back(file);
    changes_.skipped.push_back(std::move(file));
    // What the path held before is gone.
    const auto at_path = by_path_.find(entry.file.path.native());
    if (at_path != by_path_.end()) changes_.removed.push_back(at_path->second);
  };
  if (!entry.problem.empty()) return skip(entry.problem);
  CollectionItem item = item_for(entry);
  if (entry.known) {
    ++(entry.known->path == item.path ? report_.unchanged : report_.moved);
    changes_.updated.push_back(std::move(item));
    return;
  }
  if (entry.same_content) {
    const auto same =
        std::find_if(changes_.added.begin(), changes_.added.end(),
                     [&](const NewItem& added) { return added.item.hash == entry.hash; });
    entry.vector =
        same != changes_.added.end() ? same->vector : collection_.find_vector(entry.hash);
    if (entry.vector.empty()) return skip("its content, equal to another file's, has no vector");
    ++report_.copied;
  } else {
    ++report_.embedded;
  }
  changes_.added.push_back(
      {.item = std::move(item), .vector = std::move(entry.vector), .content = {}});
}

/// Applies the finished entries at the front, in order, when there are many or some time has
/// passed.
void Updater::commit(bool everything) {
  {
    const std::lock_guard lock(mutex_);
    while (!entries_.empty() && entries_.front().done) {
      collect(entries_.front());
      entries_.pop_front();
    }
  }
  report_progress();
  const size_t num_changes = changes_.added.size() + changes_.updated.size() +
                             changes_.skipped.size() + changes_.removed.size();
  const auto now = Clock::now();
  if (!everything && num_changes < kMaxUncommitted && now - committed_at_ < kCommitEvery) return;
  collection_.apply(changes_);
  changes_ = {};
  committed_at_ = Clock::now();
}

/// True if the scan would have found the path if it were there.
bool Updater::is_covered(const fs::path& path) const {
  const auto above = [&](const fs::path& folder) { return is_below(path, folder); };
  const bool below_root =
      std::any_of(options_.roots.begin(), options_.roots.end(),
                  [&](const fs::path& root) { return above(normal_path(root)); });
  return below_root && std::none_of(scan_.unread.begin(), scan_.unread.end(), above);
}

void Updater::remove_gone() {
  for (const auto& [id, item] : items_) {
    if (present_.contains(item.path) || moved_.contains(id) || !is_covered(item.path)) continue;
    changes_.removed.push_back(id);
    ++report_.removed;
  }
  for (const auto& [path, file] : skipped_) {
    if (!present_.contains(path) && is_covered(path)) changes_.forgotten.push_back(path);
  }
}

void Updater::report_progress() const {
  if (options_.on_progress) options_.on_progress(num_done_, scan_.files.size());
}

UpdateReport Updater::run(const EmbedPictures& embed) {
  std::vector<ScannedFile> changed = find_changed();
  std::unordered_set<std::string> known_hashes;
  for (const auto& [hash, id] : by_hash_) known_hashes.insert(hash);
  FileLoader loader(std::move(changed), std::move(known_hashes), options_.decode,
                    static_cast<size_t>(options_.jobs > 0 ? options_.jobs : usable_cores()));
  report_.unread = scan_.unread;
  report_progress();
  // The model is loaded, which may take a minute, for the first picture that needs it.
  if (std::optional<Image> first = next_image(loader)) {
    bool taken = false;
    const auto next = [&] {
      return std::exchange(taken, true) ? next_image(loader) : std::move(first);
    };
    try {
      embed(next, [&](std::span<const float> vector, const std::string& problem) {
        finish(vector, problem);
      });
    } catch (...) {
      commit(/*everything=*/true);
      throw;
    }
  }
  remove_gone();
  commit(/*everything=*/true);
  std::sort(report_.skipped.begin(), report_.skipped.end(),
            [](const SkippedFile& a, const SkippedFile& b) { return a.path < b.path; });
  return report_;
}

}  // namespace

UpdateReport update_collection(Collection& collection, const UpdateOptions& options,
                               const EmbedPictures& embed) {
  return Updater(collection, options).run(embed);
}

}  // namespace e5v::detail
