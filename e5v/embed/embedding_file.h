#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/embed/embedding_spec.h"
#include "e5v/embed/encoding.h"

namespace e5v::detail {

struct EmbeddingFileOptions {
  /// `.npy`: [N, D] row-major, the ids beside it in `.ids.txt`, one a line. `.jsonl`: an object a
  /// line, {"id", "embedding"}.
  std::filesystem::path path;
  Encoding encoding = Encoding::kFloat32;
  int64_t dimensions = 0;
  /// What the vectors and their order depend on beside `spec`; a run continues another only if it
  /// is the same.
  Json fingerprint;
  /// What made the vectors; compared by name (embedding_spec.h).
  std::optional<EmbeddingSpec> spec = std::nullopt;
  /// Continue where an earlier run of the same fingerprint broke off.
  bool resume = false;

  /// Throws ConfigError if the path's extension is neither .npy nor .jsonl.
  void validate() const;
};

/// Embeddings on their way into a file that appears when all are there. Until then they stand in
/// `PATH.partial`, with a journal of the finished items in `PATH.partial.log`, so that a run that
/// was killed can go on. Every member throws FileError if writing fails.
class EmbeddingFile {
 public:
  /// Throws ConfigError if `resume` meets a partial result of another fingerprint, naming the
  /// field.
  explicit EmbeddingFile(EmbeddingFileOptions options);
  EmbeddingFile(const EmbeddingFile&) = delete;
  EmbeddingFile& operator=(const EmbeddingFile&) = delete;
  /// Leaves the partial result for a later run, unless nothing was finished.
  ~EmbeddingFile();

  /// Ids of the items that an earlier run finished, skipped ones included, in the input's order.
  const std::vector<std::string>& done_ids() const { return done_ids_; }
  uint64_t num_skipped() const { return num_skipped_; }

  void add(const std::string& id, std::span<const float> vector);
  /// Notes that an item has no embedding.
  void skip(const std::string& id, std::string_view reason);

  /// Makes the file (and .ids.txt) appear and removes the partial result.
  void commit();

  /// The line of a JSONL result, without its end.
  static std::string json_line(const std::string& id, std::span<const float> vector,
                               Encoding encoding);

 private:
  bool is_npy() const { return options_.path.extension() == ".npy"; }
  void read_journal();
  void require_same_run(const Json& begun) const;
  void start_fresh();
  void note(const Json& entry);
  void write_ids() const;

  EmbeddingFileOptions options_;
  std::filesystem::path partial_path_, journal_path_;
  std::ofstream partial_, journal_;
  uint64_t partial_bytes_ = 0;
  std::vector<std::string> ids_;       // of the vectors, in order
  std::vector<std::string> done_ids_;  // of the vectors and the skipped items
  uint64_t num_skipped_ = 0;
  bool committed_ = false;
};

}  // namespace e5v::detail
