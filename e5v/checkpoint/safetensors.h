#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/file.h"
#include "e5v/checkpoint/dtype.h"

namespace e5v::detail {

/// One tensor of a safetensors file. Its elements are row-major and little-endian at bytes
/// [begin, end), counted from the end of the header; nothing promises their alignment.
struct TensorInfo {
  DType dtype;
  std::vector<int64_t> shape;  ///< empty for a 0-d tensor; a dimension may be 0
  uint64_t begin;
  uint64_t end;
};

/// The header of a safetensors file: 8 bytes length, then JSON.
struct SafetensorsHeader {
  std::vector<std::string> names;  ///< in the order of the data
  std::map<std::string, TensorInfo, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;  ///< "__metadata__"
  uint64_t data_begin = 0;  ///< where in the file the tensors' bytes begin
};

/// Largest header that is read or written, as in the reference library.
constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

/// Reads and checks the header of the file whose content is `file`; `source` names it in errors.
/// The tensors must cover the file's data without gap or overlap and hold dtype x shape bytes each.
/// Throws FormatError, naming the tensor, the place and the likely cause.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           std::string_view source);

/// A safetensors file, mapped read-only. Immutable; every method is const and thread-safe.
class SafetensorsFile {
 public:
  /// Maps the file and reads its header; no tensor is touched. Throws FileError or FormatError.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<std::string>& names() const { return header_.names; }
  const std::map<std::string, std::string, std::less<>>& metadata() const {
    return header_.metadata;
  }
  const std::filesystem::path& path() const { return file_.path(); }

  /// nullptr where there is no such tensor; else valid as long as the file.
  const TensorInfo* find(std::string_view name) const;

  /// The tensor's bytes in the mapping, valid as long as the file; any alignment.
  /// Throws InputError if there is no such tensor.
  std::span<const std::byte> bytes(std::string_view name) const;

  /// Lets the kernel drop the tensor's pages (it can still be read again). Throws as `bytes`.
  void release(std::string_view name) const;

 private:
  const TensorInfo& at(std::string_view name) const;

  MappedFile file_;
  SafetensorsHeader header_;
};

/// What a tensor will be, before its bytes are known.
struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

/// Writes a safetensors file as a stream: the header first, from the complete list of tensors, then
/// their bytes in that order, in pieces of any size, so that a file of any size needs no memory.
/// The file appears under its name only with `commit`. Nothing is put between tensors, so one of
/// larger elements after an odd number of smaller ones is misaligned; put larger elements first if
/// that matters to a reader.
class SafetensorsWriter {
 public:
  /// Throws InputError if a name is repeated, reserved or not UTF-8, a shape is negative or too
  /// large, or the header would exceed kMaxSafetensorsHeaderBytes; FileError if the file cannot be
  /// made.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> tensors,
                    const std::map<std::string, std::string, std::less<>>& metadata = {});

  /// Appends bytes to the tensor `name`, which must be the first one that is not yet complete.
  /// Throws InputError if it is not, or would become too long; FileError if writing fails.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// True once every tensor has all its bytes.
  bool complete() const { return current_ == tensors_.size(); }

  /// Throws InputError naming the first tensor whose bytes are missing.
  void check_complete() const;

  /// Makes the file appear. Throws as check_complete, and FileError if writing fails.
  void commit();

 private:
  void skip_complete_tensors();

  std::filesystem::path path_;
  std::vector<TensorSpec> tensors_;
  AtomicFile file_;
  size_t current_ = 0;          // index of the tensor being written
  uint64_t current_bytes_ = 0;  // written of it so far
};

}  // namespace e5v::detail
