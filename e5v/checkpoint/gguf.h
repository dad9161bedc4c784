#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "e5v/base/file.h"

namespace e5v::detail {

/// How a GGUF file's tensor lies in memory: the types that are read here, with ggml's numbers.
enum class GgufType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ6_K = 14,
  kBF16 = 30,
};

std::string_view gguf_type_name(GgufType type);

/// Values of `type` that share one block of bytes, and the bytes of it.
int64_t gguf_block_values(GgufType type);
int64_t gguf_block_bytes(GgufType type);

/// Blocks of any type as float32: `values` has num_blocks · gguf_block_values elements, `blocks`
/// their bytes, of any alignment. As the Python package gguf does it (gguf.quants.dequantize), to
/// the bit but for the order of two multiplications.
void dequantize_gguf(GgufType type, std::span<const std::byte> blocks, std::span<float> values);

/// A tensor of a GGUF file.
struct GgufTensor {
  GgufType type;
  /// Row-major, as transformers has it (the file counts dimensions from the last).
  std::vector<int64_t> shape;
  uint64_t begin;  ///< in the file
  uint64_t num_bytes;
};

/// A file of llama.cpp's format GGUF, version 2 or 3, little-endian: mapped, its header checked.
/// Immutable; every method is const and thread-safe.
class GgufFile {
 public:
  /// Throws FileError, FormatError naming the place.
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }

  /// Metadata that is text or a number; nullopt if it is not there or of another kind.
  std::optional<std::string> text(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;

  /// Sorted by name.
  const std::map<std::string, GgufTensor, std::less<>>& tensors() const { return tensors_; }
  /// nullptr where there is no such tensor.
  const GgufTensor* find(std::string_view name) const;
  std::span<const std::byte> bytes(const GgufTensor& tensor) const;
  /// Lets the kernel drop the tensor's pages.
  void release(const GgufTensor& tensor) const;

 private:
  using Value = std::variant<std::string, int64_t>;

  MappedFile file_;
  std::map<std::string, Value, std::less<>> metadata_;  // what `text` and `integer` give
  std::map<std::string, GgufTensor, std::less<>> tensors_;
};

}  // namespace e5v::detail
