#include "e5v/index/index_options.h"

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr int64_t kFlatVectors = 200'000;
constexpr int64_t kHnswVectors = 2'000'000;

void require_between(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  throw ConfigError(fmt::format("'{}' is {}, expected {} to {}", name, value, least, most));
}

}  // namespace

const char* to_string(IndexKind kind) {
  switch (kind) {
    case IndexKind::kAuto:
      return "auto";
    case IndexKind::kFlat:
      return "flat";
    case IndexKind::kHnswSq8:
      return "hnsw-sq8";
    case IndexKind::kIvfPq:
      return "ivfpq";
  }
  return "?";
}

IndexKind find_index_kind(std::string_view name) {
  if (name == "hnsw") return IndexKind::kHnswSq8;
  for (const IndexKind kind :
       {IndexKind::kAuto, IndexKind::kFlat, IndexKind::kHnswSq8, IndexKind::kIvfPq}) {
    if (name == to_string(kind)) return kind;
  }
  throw ConfigError(
      fmt::format("unknown index '{}', expected auto, flat, hnsw-sq8 or ivfpq", printable(name)));
}

IndexKind resolve(IndexKind kind, int64_t num_vectors) {
  if (kind != IndexKind::kAuto) return kind;
  if (num_vectors <= kFlatVectors) return IndexKind::kFlat;
  return num_vectors <= kHnswVectors ? IndexKind::kHnswSq8 : IndexKind::kIvfPq;
}

void IndexOptions::validate() const {
  // Faiss draws a vector's level from 1 / log(M).
  require_between("M", M, 2, 512);
  require_between("efConstruction", efConstruction, 1, 10'000);
  require_between("efSearch", efSearch, 1, 100'000);
  require_between("nprobe", nprobe, 0, 1'000'000);
}

Json IndexOptions::parameters() const {
  return {{"M", M}, {"efConstruction", efConstruction}, {"efSearch", efSearch}, {"nprobe", nprobe}};
}

void IndexOptions::read_parameters(const Json& json) {
  M = field_or(json, "M", M);
  efConstruction = field_or(json, "efConstruction", efConstruction);
  efSearch = field_or(json, "efSearch", efSearch);
  nprobe = field_or(json, "nprobe", nprobe);
  validate();
}

bool IndexOptions::builds_as(const IndexOptions& other) const {
  if (kind != other.kind) return false;
  return kind != IndexKind::kHnswSq8 || (M == other.M && efConstruction == other.efConstruction);
}

}  // namespace e5v::detail
