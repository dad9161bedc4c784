#include "e5v/hub/partial_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* action) {
  throw FileError(path.native(), action, system_reason(errno));
}

}  // namespace

PartialFile::PartialFile(const std::filesystem::path& path) : path_(path) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) throw FileError(path.parent_path().native(), "cannot create", error.message());
  for (;;) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(path, "cannot create");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      ::close(descriptor_);
      throw FileError(path.native(), "cannot lock",
                      reason == EWOULDBLOCK ? "another process is downloading this file"
                                            : system_reason(reason));
    }
    // Whoever had the lock before may have moved the file to its final name.
    struct stat opened {
    }, named{};
    if (::fstat(descriptor_, &opened) != 0) fail(path, "cannot stat");
    if (::stat(path.c_str(), &named) == 0 && named.st_ino == opened.st_ino) {
      size_ = static_cast<uint64_t>(opened.st_size);
      break;
    }
    ::close(descriptor_);
  }
  if (::lseek(descriptor_, 0, SEEK_END) < 0) fail(path, "cannot seek");
}

PartialFile::~PartialFile() { ::close(descriptor_); }

void PartialFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(n));
    size_ += static_cast<uint64_t>(n);
  }
}

void PartialFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0 || ::lseek(descriptor_, 0, SEEK_SET) != 0) {
    fail(path_, "cannot truncate");
  }
  size_ = 0;
}

void PartialFile::remove() {
  if (::unlink(path_.c_str()) != 0) fail(path_, "cannot remove");
}

void PartialFile::move_to(const std::filesystem::path& target) {
  if (::fsync(descriptor_) != 0) fail(path_, "cannot write");
  if (::rename(path_.c_str(), target.c_str()) != 0) fail(target, "cannot write");
}

}  // namespace e5v::detail
