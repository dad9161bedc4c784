#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/base/progress.h"
#include "e5v/index/search_target.h"

namespace e5v::detail {

/// A file that could not be embedded, so that it is not tried again until it changes.
struct SkippedFile {
  std::string path;
  int64_t size = 0;
  int64_t mtime_ns = 0;
  std::string reason;
};

/// An item to add, with its vector.
struct NewItem {
  CollectionItem item;  ///< its id is not looked at
  std::vector<float> vector;
  std::string content;  ///< an uploaded picture's bytes to keep; empty = none
};

/// One step of a collection: all of it happens, or nothing.
struct CollectionChanges {
  /// Added; an item of the same path is replaced and keeps its id.
  std::vector<NewItem> added;
  /// Items whose fields (all but kind and text) are these from now on; the vector stays.
  std::vector<CollectionItem> updated;
  std::vector<int64_t> removed;  ///< ids; those that are not there are passed over
  std::vector<SkippedFile> skipped;
  std::vector<std::string> forgotten;  ///< paths of skipped files that are gone

  bool empty() const {
    return added.empty() && updated.empty() && removed.empty() && skipped.empty() &&
           forgotten.empty();
  }
};

struct CollectionInfo {
  int64_t num_items = 0;
  int64_t num_skipped = 0;
  int64_t num_indexed = 0;  ///< vectors that the approximate index holds
  int64_t num_unused = 0;   ///< vectors of removed items, until `compact`
  uint64_t disk_bytes = 0;
  CollectionSettings settings;
};

/// Items and their vectors in a folder: SQLite for what is known about the items, one file of
/// vectors, and an approximate index if wished for. It is intact whenever a process is killed or
/// power fails: each `apply` is there as a whole or not at all. docs/formats.md has the protocol.
///
/// Several threads may use one Collection, and several processes one folder.
class Collection : public SearchTarget {
 public:
  /// Makes an empty one. `folder` must not exist or be empty. Throws ConfigError, FileError.
  static void create(const std::filesystem::path& folder, const CollectionSettings& settings);

  /// Throws FileError if `folder` holds no collection, FormatError if it is damaged or of a later
  /// version.
  explicit Collection(const std::filesystem::path& folder);
  ~Collection() override;

  const std::filesystem::path& folder() const;
  const CollectionSettings& settings() const override;
  CollectionInfo info();

  /// Does `changes`. Throws InputError if a vector is of another length, zero or not finite.
  void apply(const CollectionChanges& changes);

  /// Passes every item to `visit`, by id.
  void for_each_item(const std::function<void(const CollectionItem&)>& visit);
  std::vector<SkippedFile> skipped_files();
  std::optional<CollectionItem> find_item(int64_t id);
  /// The kept bytes of an uploaded picture.
  std::optional<std::string> find_content(const std::string& hash);
  /// The bytes of an item's picture, kept or in its file; empty if it has none or its file is gone.
  std::vector<std::byte> find_picture(const CollectionItem& item);
  /// An item's vector; empty without such an item.
  std::vector<float> find_vector(int64_t id);
  /// The vector of any item of this content; empty without one.
  std::vector<float> find_vector(const std::string& hash);

  std::vector<SearchHit> search(const SearchQuery& query) override;
  /// Keeps the vectors in a second form in memory, a quarter of their size, that makes searches
  /// about three times as fast.
  void prepare_for_many_searches();

  /// Brings the approximate index up to date, where the chosen kind has one.
  void update_index(const ProgressCallback& on_progress = nullptr);
  /// What searches and `update_index` go by from now on. Throws ConfigError.
  void choose_index(const IndexOptions& options);

  /// Rewrites the vectors without those of removed items.
  void compact(const ProgressCallback& on_progress = nullptr);

  /// Checks everything against everything; each line is one thing that is wrong.
  std::vector<std::string> verify(const ProgressCallback& on_progress = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Keeps others from updating the collection in `folder` while it lives; searches go on.
class CollectionLock {
 public:
  /// Throws ConfigError if another process holds it.
  explicit CollectionLock(const std::filesystem::path& folder);
  CollectionLock(const CollectionLock&) = delete;
  CollectionLock& operator=(const CollectionLock&) = delete;
  ~CollectionLock();

 private:
  int descriptor_ = -1;
};

}  // namespace e5v::detail
