#include "e5v/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

/// Closes a descriptor at the end of a scope.
struct Descriptor {
  int value;
  ~Descriptor() { ::close(value); }
};

int open_or_throw(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw FileError(path.native(), "cannot open", system_reason(errno));
  return descriptor;
}

void write_fully(int descriptor, std::string_view bytes, int64_t offset,
                 const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = offset < 0 ? ::write(descriptor, bytes.data(), bytes.size())
                                 : ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw FileError(path.native(), "cannot write", system_reason(errno));
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    if (offset >= 0) offset += n;
  }
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file{open_or_throw(path)};
  struct stat status {};
  if (::fstat(file.value, &status) != 0) {
    throw FileError(path.native(), "cannot stat", system_reason(errno));
  }
  if (!S_ISREG(status.st_mode)) throw FileError(path.native(), "cannot map", "not a regular file");
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (mapped == MAP_FAILED) throw FileError(path.native(), "cannot map", system_reason(errno));
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t offset, size_t size) const {
  if (data_ == nullptr || offset >= size_) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = std::min(offset + size, size_) / page * page;
  if (begin < end) {
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
  }
}

std::string read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const Descriptor file{open_or_throw(path)};
  std::string content;
  struct stat status {};
  if (::fstat(file.value, &status) == 0 && S_ISREG(status.st_mode)) {
    // A sparse file may claim any size: the loop below refuses it before that much is allocated.
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size <= max_bytes) content.reserve(static_cast<size_t>(size));
  }
  std::string chunk(kBufferBytes, '\0');
  for (;;) {
    const ssize_t n = ::read(file.value, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw FileError(path.native(), "cannot read", system_reason(errno));
    if (n == 0) return content;
    content.append(chunk, 0, static_cast<size_t>(n));
    if (content.size() > max_bytes) {
      throw FileError(path.native(), "cannot read",
                      fmt::format("longer than the limit of {} bytes", max_bytes));
    }
  }
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    throw FileError(path_.native(), "cannot create", system_reason(EISDIR));
  }
  if (exists && !S_ISREG(status.st_mode)) {  // renaming would replace the device itself
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    std::error_code error;
    const std::filesystem::path target = std::filesystem::canonical(path, error);
    if (!error) path_ = target;  // the file behind a link
    static std::atomic<uint64_t> count{0};
    temporary_path_ = path_;
    temporary_path_ += fmt::format(".tmp{}.{}", ::getpid(), count++);
    descriptor_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) throw FileError(path_.native(), "cannot create", system_reason(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) {
    write_fully(descriptor_, bytes, -1, path_);
  } else {
    buffer_ += bytes;
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void AtomicFile::write_at(uint64_t offset, std::string_view bytes) {
  E5V_ASSERT(offset + bytes.size() <= size_);
  flush();
  write_fully(descriptor_, bytes, static_cast<int64_t>(offset), path_);
}

void AtomicFile::flush() {
  write_fully(descriptor_, buffer_, -1, path_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  // EINVAL: a file system or device that has nothing to sync.
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
    throw FileError(path_.native(), "cannot write", system_reason(errno));
  }
  const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
  const bool direct = temporary_path_.empty();
  if (closed && (direct || ::rename(temporary_path_.c_str(), path_.c_str()) == 0)) return;
  const int error = errno;
  if (!direct) ::unlink(temporary_path_.c_str());
  throw FileError(path_.native(), "cannot write", system_reason(error));
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace e5v::detail
