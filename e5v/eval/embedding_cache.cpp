#include "e5v/eval/embedding_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kMagic = "e5v embeddings 1";  // 16 bytes, then dimensions as int64
constexpr size_t kHeaderBytes = kMagic.size() + sizeof(int64_t);

size_t vector_bytes(int64_t dimensions) { return static_cast<size_t>(dimensions) * sizeof(float); }
/// Key, vector, checksum of both.
size_t record_bytes(int64_t dimensions) {
  return sizeof(ContentHash) + vector_bytes(dimensions) + sizeof(uint64_t);
}

std::string_view as_text(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

uint64_t checksum(ContentHash key, std::string_view vector) {
  return ContentHasher().add(key).add(vector).hash().low;
}

}  // namespace

EmbeddingCache::EmbeddingCache(const std::filesystem::path& folder, ContentHash fingerprint,
                               int64_t dimensions)
    : dimensions_(dimensions) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw FileError(folder.native(), "cannot create", error.message());
  path_ = folder / (fingerprint.digits() + ".vectors");
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw FileError(path_.native(), "cannot open", system_reason(errno));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    close();
    throw FileError(path_.native(), "cannot use the cache", "another process has it open");
  }
  if (std::filesystem::file_size(path_) < kHeaderBytes) {
    std::string header(kMagic);
    header.append(as_text(&dimensions, sizeof dimensions));
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::write(descriptor_, header.data(), header.size()) != static_cast<ssize_t>(header.size())) {
      const int reason = errno;
      close();
      throw FileError(path_.native(), "cannot write", system_reason(reason));
    }
  }
  file_.emplace(path_);
  const std::string_view bytes = as_text(file_->bytes().data(), file_->bytes().size());
  int64_t stored = 0;
  std::memcpy(&stored, bytes.data() + kMagic.size(), sizeof stored);
  if (!bytes.starts_with(kMagic) || stored != dimensions) {
    close();
    throw FormatError(
        path_.native(),
        fmt::format("is no cache of vectors of {} dimensions; delete it", dimensions));
  }
  const size_t step = record_bytes(dimensions);
  size_t at = kHeaderBytes;
  for (; at + step <= bytes.size(); at += step) {
    ContentHash key;
    std::memcpy(&key, bytes.data() + at, sizeof key);
    const std::string_view vector = bytes.substr(at + sizeof key, vector_bytes(dimensions));
    uint64_t sum = 0;
    std::memcpy(&sum, bytes.data() + at + step - sizeof sum, sizeof sum);
    if (sum == checksum(key, vector)) offsets_[key] = at + sizeof key;
  }
  // What was being written when a run broke off: cut, so that the next record begins at its place.
  if (at != bytes.size() && ::ftruncate(descriptor_, static_cast<off_t>(at)) != 0) {
    throw FileError(path_.native(), "cannot shorten", system_reason(errno));
  }
}

EmbeddingCache::EmbeddingCache(EmbeddingCache&& other) noexcept { *this = std::move(other); }

EmbeddingCache& EmbeddingCache::operator=(EmbeddingCache&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::move(other.path_);
  dimensions_ = other.dimensions_;
  descriptor_ = std::exchange(other.descriptor_, -1);
  file_ = std::move(other.file_);
  offsets_ = std::move(other.offsets_);
  return *this;
}

EmbeddingCache::~EmbeddingCache() { close(); }

void EmbeddingCache::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

std::optional<std::span<const float>> EmbeddingCache::find(ContentHash key) const {
  const auto found = offsets_.find(key);
  if (found == offsets_.end()) return std::nullopt;
  const std::byte* bytes = file_->bytes().data() + found->second;
  return std::span(reinterpret_cast<const float*>(bytes), static_cast<size_t>(dimensions_));
}

void EmbeddingCache::add(ContentHash key, std::span<const float> vector) {
  if (descriptor_ < 0) return;
  E5V_ASSERT(static_cast<int64_t>(vector.size()) == dimensions_);
  const std::string_view bytes = as_text(vector.data(), vector.size_bytes());
  const uint64_t sum = checksum(key, bytes);
  std::string record(as_text(&key, sizeof key));
  record.append(bytes).append(as_text(&sum, sizeof sum));
  // One write a record: a record is there or it is not, but for a full disk or a crash.
  if (::write(descriptor_, record.data(), record.size()) != static_cast<ssize_t>(record.size())) {
    throw FileError(path_.native(), "cannot write", system_reason(errno));
  }
}

}  // namespace e5v::detail
