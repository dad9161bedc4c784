#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace e5v::detail {

/// Element types of stored tensors, under the names that safetensors gives them. Its sub-byte types
/// (F4, F6_…) and F8_E8M0 are not among them: no model that this project reads uses them.
enum class DType {
  F64,
  F32,
  F16,
  BF16,
  F8_E4M3,
  F8_E5M2,
  I64,
  I32,
  I16,
  I8,
  U64,
  U32,
  U16,
  U8,
  BOOL
};

/// The name in a safetensors header, e.g. "BF16".
std::string_view dtype_name(DType dtype);

/// The type of that name (exact spelling), or nullopt.
std::optional<DType> find_dtype(std::string_view name);

/// Bytes of one element.
size_t dtype_bytes(DType dtype);

/// True for F64 to F8_E5M2.
bool is_floating_point(DType dtype);

/// Elements of a tensor of this shape (1 for a 0-d tensor), or nullopt where a dimension is
/// negative or the product does not fit into 63 bits. A zero makes the product 0 wherever it
/// stands.
std::optional<uint64_t> checked_num_elements(std::span<const int64_t> shape);

/// Bytes of a tensor of this type and shape, or nullopt as for checked_num_elements.
std::optional<uint64_t> checked_tensor_bytes(DType dtype, std::span<const int64_t> shape);

}  // namespace e5v::detail
