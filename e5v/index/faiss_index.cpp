#include "e5v/index/faiss_index.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"

namespace e5v::detail {
namespace {

constexpr int64_t kTrainingRowsPerCluster = 64;
constexpr double kClustersProbed = 0.05;

/// Rows added at a time, so that progress can be told.
constexpr int64_t kBlockRows = 2048;

/// Detects damage, not forgery: 8 bytes at a time through the mixer of random.h.
uint64_t checksum_of(std::span<const std::byte> bytes) {
  uint64_t sum = bytes.size(), word = 0;
  size_t at = 0;
  for (; at + sizeof(word) <= bytes.size(); at += sizeof(word)) {
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    sum = mix64(sum ^ word);
  }
  word = 0;
  if (at < bytes.size()) std::memcpy(&word, bytes.data() + at, bytes.size() - at);
  return mix64(sum ^ word);
}

struct FileWriter : faiss::IOWriter {
  explicit FileWriter(const std::filesystem::path& path) : file(path) {}
  size_t operator()(const void* bytes, size_t size, size_t count) override {
    file.write(std::string_view(static_cast<const char*>(bytes), size * count));
    return count;
  }
  AtomicFile file;
};

struct MemoryReader : faiss::IOReader {
  explicit MemoryReader(std::span<const std::byte> bytes) : rest(bytes) {}
  size_t operator()(void* out, size_t size, size_t count) override {
    if (size == 0) return 0;
    const size_t whole = std::min(count, rest.size() / size);
    if (whole > 0) std::memcpy(out, rest.data(), whole * size);
    rest = rest.subspan(whole * size);
    return whole;
  }
  std::span<const std::byte> rest;
};

/// Product quantizers need a number of parts that divides the dimensions: the largest up to one
/// byte for 8 dimensions.
size_t num_codes(int64_t dimensions) {
  int64_t parts = std::max<int64_t>(1, dimensions / 8);
  while (dimensions % parts != 0) --parts;
  return static_cast<size_t>(parts);
}

std::unique_ptr<faiss::Index> make_index(const IndexOptions& options, int64_t dimensions,
                                         int64_t num_rows) {
  const auto d = static_cast<int>(dimensions);
  // Of vectors of one length, the nearest by distance are those of the largest inner product.
  if (options.kind == IndexKind::kHnswSq8) {
    auto index = std::make_unique<faiss::IndexHNSWSQ>(
        d, faiss::ScalarQuantizer::QT_8bit, static_cast<int>(options.M), faiss::METRIC_L2);
    index->hnsw.efConstruction = static_cast<int>(options.efConstruction);
    return index;
  }
  E5V_ASSERT(options.kind == IndexKind::kIvfPq);
  const auto num_clusters = static_cast<size_t>(std::clamp<int64_t>(
      static_cast<int64_t>(4 * std::sqrt(static_cast<double>(num_rows))), 1, num_rows));
  // Product codes of 8 bits are learnt from 256 vectors at the least.
  const size_t bits = num_rows >= 256 ? 8 : 4;
  auto index = std::make_unique<faiss::IndexIVFPQ>(new faiss::IndexFlatL2(d), d, num_clusters,
                                                   num_codes(dimensions), bits, faiss::METRIC_L2);
  index->own_fields = true;
  index->cp.seed = 1234;
  // Faiss prints a warning where there are fewer.
  index->cp.min_points_per_centroid = 1;
  index->pq.cp.min_points_per_centroid = 1;
  return index;
}

}  // namespace

struct FaissIndex::Impl {
  std::unique_ptr<faiss::Index> index;
};

FaissIndex::FaissIndex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FaissIndex::FaissIndex(FaissIndex&&) noexcept = default;
FaissIndex& FaissIndex::operator=(FaissIndex&&) noexcept = default;
FaissIndex::~FaissIndex() = default;

FaissIndex FaissIndex::build(const IndexOptions& options, int64_t dimensions,
                             std::span<const float> rows,
                             const std::function<void(int64_t, int64_t)>& on_progress) {
  const auto num_rows = static_cast<int64_t>(rows.size()) / dimensions;
  auto impl = std::make_unique<Impl>();
  impl->index = make_index(options, dimensions, num_rows);
  if (const auto* ivf = dynamic_cast<const faiss::IndexIVFPQ*>(impl->index.get())) {
    const int64_t wanted =
        std::max<int64_t>(256 * 64, static_cast<int64_t>(ivf->nlist) * kTrainingRowsPerCluster);
    const int64_t stride = std::max<int64_t>(1, num_rows / wanted);
    std::vector<float> sample;
    for (int64_t row = 0; row < num_rows; row += stride) {
      const auto values =
          rows.subspan(static_cast<size_t>(row * dimensions), static_cast<size_t>(dimensions));
      sample.insert(sample.end(), values.begin(), values.end());
    }
    impl->index->train(static_cast<int64_t>(sample.size()) / dimensions, sample.data());
  } else {
    // The 8-bit quantizer learns each dimension's range: of all vectors, since training is cheap.
    impl->index->train(num_rows, rows.data());
  }
  FaissIndex index(std::move(impl));
  index.add(rows, on_progress);
  return index;
}

void FaissIndex::add(std::span<const float> rows,
                     const std::function<void(int64_t, int64_t)>& on_progress) {
  const int64_t dimensions = impl_->index->d;
  const auto num_rows = static_cast<int64_t>(rows.size()) / dimensions;
  for (int64_t done = 0; done < num_rows;) {
    const int64_t count = std::min(kBlockRows, num_rows - done);
    impl_->index->add(count, rows.data() + done * dimensions);
    done += count;
    if (on_progress) on_progress(done, num_rows);
  }
}

FaissIndex FaissIndex::load(const std::filesystem::path& path, uint64_t checksum,
                            int64_t dimensions) {
  const MappedFile file(path);
  if (checksum_of(file.bytes()) != checksum) {
    throw FormatError(path.native(), "is damaged: its checksum is not the one that was noted");
  }
  try {
    MemoryReader reader(file.bytes());
    auto impl = std::make_unique<Impl>();
    impl->index.reset(faiss::read_index(&reader));
    if (impl->index->d != dimensions) {
      throw FormatError(path.native(), fmt::format("indexes vectors of {} dimensions, expected {}",
                                                   impl->index->d, dimensions));
    }
    return FaissIndex(std::move(impl));
  } catch (const faiss::FaissException& error) {
    throw FormatError(path.native(), printable(error.what(), 300));
  }
}

uint64_t FaissIndex::save(const std::filesystem::path& path) const {
  FileWriter writer(path);
  faiss::write_index(impl_->index.get(), &writer);
  writer.file.commit();
  return checksum_of(MappedFile(path).bytes());
}

int64_t FaissIndex::num_rows() const { return impl_->index->ntotal; }

std::vector<int64_t> FaissIndex::search(std::span<const float> query, int64_t count,
                                        const IndexOptions& options) const {
  const int64_t wanted = std::min(count, num_rows());
  std::vector<float> distances(static_cast<size_t>(wanted));
  std::vector<int64_t> rows(static_cast<size_t>(wanted), -1);
  if (const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(impl_->index.get())) {
    faiss::IVFSearchParameters parameters;
    parameters.nprobe =
        options.nprobe > 0
            ? static_cast<size_t>(options.nprobe)
            : std::max<size_t>(
                  16, static_cast<size_t>(static_cast<double>(ivf->nlist) * kClustersProbed));
    ivf->search(1, query.data(), wanted, distances.data(), rows.data(), &parameters);
  } else {
    auto* hnsw = dynamic_cast<faiss::IndexHNSW*>(impl_->index.get());
    E5V_ASSERT(hnsw != nullptr);
    faiss::SearchParametersHNSW parameters;
    parameters.efSearch = static_cast<int>(std::max<int64_t>(options.efSearch, wanted));
    hnsw->search(1, query.data(), wanted, distances.data(), rows.data(), &parameters);
  }
  std::erase(rows, -1);
  return rows;
}

}  // namespace e5v::detail
