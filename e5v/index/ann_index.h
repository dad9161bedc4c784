#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace e5v {

/// How a collection finds near vectors.
enum class IndexKind {
  kAuto,   ///< flat up to 200,000 vectors, HNSW up to 2,000,000, IVF-PQ above
  kFlat,   ///< every vector is compared: exact
  kHnsw,   ///< a graph over 8-bit vectors (Malkov & Yashunin 2016): approximate, fast
  kIvfPq,  ///< clusters of product codes (Jégou et al. 2011): approximate, the least memory
};

const char* to_string(IndexKind kind);
/// Throws ConfigError for another name.
IndexKind find_index_kind(std::string_view name);
/// kAuto by size; other kinds as they are.
IndexKind resolve(IndexKind kind, int64_t num_vectors);

/// An approximate index of the rows [0, num_rows()) of a collection's vectors, which are of unit
/// length. Only a way to find candidates: whoever searches computes exact scores from the vectors.
/// `search` is thread-safe.
class AnnIndex {
 public:
  /// Builds over `rows` [n, dimensions]; `kind` is kHnsw or kIvfPq. Equal input gives an equal
  /// index with one thread; with more, HNSW's graph depends on their timing.
  static AnnIndex build(IndexKind kind, int64_t dimensions, std::span<const float> rows,
                        const std::function<void(int64_t done, int64_t total)>& on_progress);

  /// Reads what `save` wrote. Throws FileError; FormatError if the file's checksum is not
  /// `checksum` or it does not hold such an index.
  static AnnIndex load(const std::filesystem::path& path, uint64_t checksum, int64_t dimensions);

  AnnIndex(AnnIndex&&) noexcept;
  AnnIndex& operator=(AnnIndex&&) noexcept;
  ~AnnIndex();

  /// Appends `rows` [n, dimensions].
  void add(std::span<const float> rows,
           const std::function<void(int64_t done, int64_t total)>& on_progress);

  /// Writes the index to a file that appears only when complete; returns its checksum.
  uint64_t save(const std::filesystem::path& path) const;

  int64_t num_rows() const;

  /// Up to `count` rows near `query`, in no order.
  std::vector<int64_t> search(std::span<const float> query, int64_t count) const;

 private:
  struct Impl;
  explicit AnnIndex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v
