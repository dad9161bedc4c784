#include "e5v/checkpoint/dtype.h"

#include <algorithm>
#include <array>
#include <limits>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  size_t bytes;
  bool floating_point;
};

// In the order of the enumerators.
constexpr std::array<DTypeRow, 15> kDTypes = {{
    {DType::F64, "F64", 8, true},
    {DType::F32, "F32", 4, true},
    {DType::F16, "F16", 2, true},
    {DType::BF16, "BF16", 2, true},
    {DType::F8_E4M3, "F8_E4M3", 1, true},
    {DType::F8_E5M2, "F8_E5M2", 1, true},
    {DType::I64, "I64", 8, false},
    {DType::I32, "I32", 4, false},
    {DType::I16, "I16", 2, false},
    {DType::I8, "I8", 1, false},
    {DType::U64, "U64", 8, false},
    {DType::U32, "U32", 4, false},
    {DType::U16, "U16", 2, false},
    {DType::U8, "U8", 1, false},
    {DType::BOOL, "BOOL", 1, false},
}};

const DTypeRow& row_of(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  E5V_ASSERT(index < kDTypes.size() && kDTypes[index].dtype == dtype);
  return kDTypes[index];
}

constexpr uint64_t kMaxSize = std::numeric_limits<int64_t>::max();

}  // namespace

std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }

std::optional<DType> find_dtype(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

size_t dtype_bytes(DType dtype) { return row_of(dtype).bytes; }

bool is_floating_point(DType dtype) { return row_of(dtype).floating_point; }

std::optional<uint64_t> checked_num_elements(std::span<const int64_t> shape) {
  if (std::any_of(shape.begin(), shape.end(), [](int64_t size) { return size < 0; })) {
    return std::nullopt;
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  uint64_t product = 1;
  for (const int64_t size : shape) {
    if (product > kMaxSize / static_cast<uint64_t>(size)) return std::nullopt;
    product *= static_cast<uint64_t>(size);
  }
  return product;
}

std::optional<uint64_t> checked_tensor_bytes(DType dtype, std::span<const int64_t> shape) {
  const std::optional<uint64_t> num_elements = checked_num_elements(shape);
  if (!num_elements || *num_elements > kMaxSize / dtype_bytes(dtype)) return std::nullopt;
  return *num_elements * dtype_bytes(dtype);
}

}  // namespace e5v::detail
