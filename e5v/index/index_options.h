#pragma once

#include <cstdint>
#include <string_view>

#include "e5v/base/json.h"

namespace e5v::detail {

/// How a collection finds near vectors.
enum class IndexKind {
  kAuto,     ///< flat up to 200,000 vectors, HNSW up to 2,000,000, IVF-PQ above
  kFlat,     ///< every vector is compared: exact
  kHnswSq8,  ///< a graph (Malkov & Yashunin 2016) over 8-bit vectors: approximate, fast
  kIvfPq,    ///< clusters of product codes (Jégou et al. 2011): approximate, the least memory
};

/// "auto", "flat", "hnsw-sq8", "ivfpq".
const char* to_string(IndexKind kind);
/// Also knows "hnsw", as hnsw-sq8 was called. Throws ConfigError for another name.
IndexKind find_index_kind(std::string_view name);
/// kAuto by size; other kinds as they are.
IndexKind resolve(IndexKind kind, int64_t num_vectors);

/// The kind of a collection's index, and the parameters of those that are approximate, under
/// Faiss's names.
struct IndexOptions {
  IndexKind kind = IndexKind::kAuto;
  /// HNSW: neighbours that a vector is linked with when it comes; 2 to 512.
  int64_t M = 32;
  /// HNSW: candidates among which those are chosen; 1 to 10,000.
  int64_t efConstruction = 200;
  /// HNSW: candidates that a search keeps, or as many as are asked for; 1 to 100,000.
  int64_t efSearch = 256;
  /// IVF-PQ: clusters that a search looks into, at the most 1,000,000; 0 = a twentieth of them, and
  /// at least 16.
  int64_t nprobe = 0;

  /// Throws ConfigError that names a parameter out of its range.
  void validate() const;

  /// The parameters without the kind. `read_parameters` leaves those that are absent as they are;
  /// throws ConfigError for a value of another type or out of its range.
  Json parameters() const;
  void read_parameters(const Json& json);

  friend bool operator==(const IndexOptions&, const IndexOptions&) = default;

  /// Whether an index that was built with `other` is the one that these options ask for.
  bool builds_as(const IndexOptions& other) const;
};

}  // namespace e5v::detail
