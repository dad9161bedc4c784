#include "e5v/index/vector_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// 64 bytes: this, the vectors' length, zeros.
constexpr std::string_view kMagic = "E5V vectors f32\n";
constexpr int64_t kHeaderBytes = 64;

std::array<char, kHeaderBytes> header_of(int64_t dimensions) {
  std::array<char, kHeaderBytes> header{};
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  std::memcpy(header.data() + kMagic.size(), &dimensions, sizeof(dimensions));
  return header;
}

void check_header(const std::filesystem::path& path, const char* header, int64_t dimensions) {
  if (std::memcmp(header, kMagic.data(), kMagic.size()) != 0) {
    throw FormatError(path.native(), "is no file of vectors");
  }
  int64_t stored = 0;
  std::memcpy(&stored, header + kMagic.size(), sizeof(stored));
  if (stored != dimensions) {
    throw FormatError(path.native(), fmt::format("holds vectors of {} dimensions, expected {}",
                                                 stored, dimensions));
  }
}

}  // namespace

VectorFile::VectorFile(const std::filesystem::path& path, int64_t dimensions)
    : path_(path), dimensions_(dimensions) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw FileError(path.native(), "cannot open", system_reason(errno));
  try {
    std::array<char, kHeaderBytes> header{};
    const ssize_t size = ::pread(descriptor_, header.data(), header.size(), 0);
    if (size == kHeaderBytes) {
      check_header(path, header.data(), dimensions);
      return;
    }
    // New, or left by a process that was killed as it began.
    header = header_of(dimensions);
    if (::pwrite(descriptor_, header.data(), header.size(), 0) != kHeaderBytes) {
      throw FileError(path.native(), "cannot write", system_reason(errno));
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

VectorFile::~VectorFile() { ::close(descriptor_); }

void VectorFile::write(int64_t first_row, std::span<const float> rows) {
  const auto bytes = std::as_bytes(rows);
  off_t offset = kHeaderBytes + first_row * dimensions_ * static_cast<off_t>(sizeof(float));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw FileError(path_.native(), "cannot write", system_reason(errno));
    done += static_cast<size_t>(written);
    offset += written;
  }
}

void VectorFile::sync() {
  if (::fdatasync(descriptor_) != 0) {
    throw FileError(path_.native(), "cannot write", system_reason(errno));
  }
}

MappedVectors::MappedVectors(const std::filesystem::path& path, int64_t dimensions,
                             int64_t num_rows)
    : file_(path), dimensions_(dimensions), num_rows_(num_rows) {
  const auto bytes = file_.bytes();
  if (bytes.size() < kHeaderBytes) throw FormatError(path.native(), "is no file of vectors");
  check_header(path, reinterpret_cast<const char*>(bytes.data()), dimensions);
  const uint64_t row_bytes = static_cast<uint64_t>(dimensions) * sizeof(float);
  const uint64_t rows_there = (bytes.size() - kHeaderBytes) / row_bytes;
  if (rows_there < static_cast<uint64_t>(num_rows)) {
    throw FormatError(path.native(), fmt::format("holds {} vectors, but the collection lists {}; "
                                                 "was the file cut?",
                                                 rows_there, num_rows));
  }
  data_ = reinterpret_cast<const float*>(bytes.data() + kHeaderBytes);
}

}  // namespace e5v::detail
