#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "e5v/base/file.h"

namespace e5v::detail {

/// Element types that .npy files of this project have; little-endian.
enum class NpyType { kFloat32, kFloat16, kInt8, kUint8, kUint16, kInt64 };

/// Bytes of one element.
size_t npy_item_bytes(NpyType type);
/// NumPy's name, e.g. "float32".
std::string_view npy_type_name(NpyType type);

/// Writes a row-major array [N, row_shape...] whose N is known only at the end: rows are appended
/// as they come, and the header gets N on commit. The file appears only then (AtomicFile). Throws
/// FileError.
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, NpyType type, std::vector<int64_t> row_shape);

  /// Appends whole rows of this writer's type.
  void append(std::span<const std::byte> rows);
  template <class T>
  void append(std::span<const T> rows) {
    append(std::as_bytes(rows));
  }

  int64_t num_rows() const { return num_rows_; }
  size_t row_bytes() const { return row_bytes_; }
  void commit();

 private:
  AtomicFile file_;
  NpyType type_;
  std::vector<int64_t> row_shape_;
  size_t row_bytes_ = 0;
  int64_t num_rows_ = 0;
};

/// A mapped .npy array, row-major.
class NpyArray {
 public:
  /// Throws FileError, and FormatError where the header is malformed, the array is in Fortran
  /// order, big-endian or of a type not in NpyType, or the file's size is not what the shape needs.
  explicit NpyArray(const std::filesystem::path& path);

  NpyType type() const { return type_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t num_elements() const;
  /// The elements' bytes; aligned for every type where the header is padded to 64, as NumPy does.
  std::span<const std::byte> bytes() const { return file_.bytes().subspan(data_offset_); }

 private:
  MappedFile file_;
  NpyType type_;
  std::vector<int64_t> shape_;
  size_t data_offset_ = 0;
};

}  // namespace e5v::detail
