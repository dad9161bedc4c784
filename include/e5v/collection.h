#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "e5v/embedder.h"
#include "e5v/export.h"
#include "e5v/item.h"

namespace e5v {

/// What a vector in a collection stands for.
struct CollectionItem {
  int64_t id = 0;      ///< of the collection's own counting, from 1; never given twice
  std::string kind{};  ///< "image", "text", or "composed": both in one vector
  std::string path{};  ///< of an indexed file, absolute; a document's own name; unique
  std::string text{};  ///< of a text or composed item
  std::string caption{};
  std::string metadata = "{}";  ///< a JSON object; its fields can be filtered by as meta.NAME
};

struct SearchHit {
  CollectionItem item{};
  double score = 0;  ///< cosine
};

struct SearchOptions {
  int64_t k = 10;  ///< results at the most
  double min_score = -std::numeric_limits<double>::infinity();
  /// Only items of which this is true, e.g. `path LIKE '/home/%' AND meta.year >= 2020`
  /// (docs/search.md); empty = all.
  std::string where{};
};

/// What is searched for: a text, a picture, or a picture changed by the text, and texts that it
/// should be more or less like.
struct Query {
  std::optional<std::string> text{};
  std::optional<ImageSource> image{};
  std::vector<std::string> plus{};
  std::vector<std::string> minus{};
  /// Of text and picture, against 1 for each of the others.
  double weight = 1;
};

struct UpdateOptions {
  /// Names, or paths below a folder, to pass over (*, ? and [] are patterns).
  std::vector<std::string> exclude{};
  /// A file with captions and other facts about the pictures (docs/search.md); empty = none.
  std::filesystem::path captions{};
  /// Counts pictures, from those that were embedded by an earlier call.
  std::function<void(uint64_t done, uint64_t total)> on_progress{};
};

/// What became of the pictures.
struct UpdateReport {
  int64_t embedded = 0;
  int64_t unchanged = 0;
  int64_t moved = 0;                   ///< known content at a new place, the old one gone
  int64_t copied = 0;                  ///< known content at one more place
  int64_t removed = 0;                 ///< the file is gone
  std::vector<std::string> skipped{};  ///< "PATH: reason" of each that cannot be embedded
};

/// Items and their vectors in a folder, as `e5v index` makes and `e5v search` reads them. It is
/// intact whenever a process is killed; several threads may use one Collection, several processes
/// one folder.
class E5V_API Collection {
 public:
  /// Opens the one in `folder`. Throws FileError if there is none, FormatError if it is damaged.
  explicit Collection(const std::filesystem::path& folder);
  /// Opens the one in `folder`, or makes an empty one for vectors of `embedder`. Throws ConfigError
  /// if it was made with another model or other options, naming what differs.
  Collection(const std::filesystem::path& folder, const Embedder& embedder);
  Collection(Collection&&) noexcept;
  Collection& operator=(Collection&&) noexcept;
  ~Collection();

  /// How its vectors were made: Embedder(collection.embedder_options()) embeds queries for it.
  EmbedderOptions embedder_options() const;
  int64_t size() const;

  /// Makes the collection hold the pictures of `roots` (pictures and folders of pictures) as they
  /// are now: new and changed ones are embedded, moved ones recognised by their content, and those
  /// that are gone leave. Goes on where a killed run was. Throws ConfigError if `embedder` is not
  /// of the collection's kind or another process updates it, FileError.
  UpdateReport update(const Embedder& embedder, std::span<const std::filesystem::path> roots,
                      const UpdateOptions& options = {});

  /// The nearest items, best first, of equal scores the smaller id. Throws InputError for an empty
  /// query or a wrong filter.
  std::vector<SearchHit> search(const Embedder& embedder, const Query& query,
                                const SearchOptions& options = {});
  /// The same for a vector [dimensions] of unit length.
  std::vector<SearchHit> search(std::span<const float> vector, const SearchOptions& options = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v
