#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "e5v/index/index_options.h"

namespace e5v::detail {

/// An approximate index of the rows [0, num_rows()) of a collection's vectors, which are of unit
/// length: Faiss's IndexHNSWSQ or IndexIVFPQ. Only a way to find candidates: whoever searches
/// computes exact scores from the vectors. `search` is thread-safe.
class FaissIndex {
 public:
  /// Builds over `rows` [n, dimensions]; `options.kind` is kHnswSq8 or kIvfPq. Equal input gives an
  /// equal index with one thread; with more, HNSW's graph depends on their timing.
  static FaissIndex build(const IndexOptions& options, int64_t dimensions,
                          std::span<const float> rows,
                          const std::function<void(int64_t done, int64_t total)>& on_progress);

  /// Reads what `save` wrote. Throws FileError; FormatError if the file's checksum is not
  /// `checksum` or it does not hold such an index.
  static FaissIndex load(const std::filesystem::path& path, uint64_t checksum, int64_t dimensions);

  FaissIndex(FaissIndex&&) noexcept;
  FaissIndex& operator=(FaissIndex&&) noexcept;
  ~FaissIndex();

  /// Appends `rows` [n, dimensions].
  void add(std::span<const float> rows,
           const std::function<void(int64_t done, int64_t total)>& on_progress);

  /// Writes the index to a file that appears only when complete; returns its checksum.
  uint64_t save(const std::filesystem::path& path) const;

  int64_t num_rows() const;

  /// Up to `count` rows near `query`, in no order; of `options`, efSearch or nprobe counts.
  std::vector<int64_t> search(std::span<const float> query, int64_t count,
                              const IndexOptions& options) const;

 private:
  struct Impl;
  explicit FaissIndex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v::detail
