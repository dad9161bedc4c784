#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "e5v/base/file.h"

namespace e5v::detail {

/// Vectors of one length in a file that only grows: a header, then rows of float32, row-major.
/// Which rows count is the business of whoever keeps the file (docs/formats.md).
class VectorFile {
 public:
  /// Opens `path` to write, and makes it if it is not there.
  /// Throws FileError; FormatError if it holds something else, or vectors of another length.
  VectorFile(const std::filesystem::path& path, int64_t dimensions);
  VectorFile(const VectorFile&) = delete;
  VectorFile& operator=(const VectorFile&) = delete;
  ~VectorFile();

  /// Writes rows [first_row, first_row + rows.size() / dimensions). Throws FileError.
  void write(int64_t first_row, std::span<const float> rows);
  /// Waits until all is on the disk. Throws FileError.
  void sync();

 private:
  std::filesystem::path path_;
  int64_t dimensions_;
  int descriptor_ = -1;
};

/// A VectorFile's rows, mapped to read. Rows that were written once stay as they are, so a mapping
/// made before others were added remains valid.
class MappedVectors {
 public:
  /// Maps at least `num_rows` rows. Throws FileError; FormatError if the file is another one, or
  /// shorter.
  MappedVectors(const std::filesystem::path& path, int64_t dimensions, int64_t num_rows);

  int64_t num_rows() const { return num_rows_; }
  int64_t dimensions() const { return dimensions_; }
  /// [num_rows, dimensions], row-major.
  const float* data() const { return data_; }
  std::span<const float> row(int64_t index) const {
    return {data_ + index * dimensions_, static_cast<size_t>(dimensions_)};
  }

 private:
  MappedFile file_;
  int64_t dimensions_;
  int64_t num_rows_;
  const float* data_ = nullptr;
};

}  // namespace e5v::detail
