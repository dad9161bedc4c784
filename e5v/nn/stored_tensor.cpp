#include "e5v/nn/stored_tensor.h"

#include <cstring>
#include <optional>

#include "e5v/base/error.h"
#include "e5v/checkpoint/convert.h"

namespace e5v::detail {
namespace {

std::optional<at::ScalarType> native_dtype(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return at::kFloat;
    case DType::F16:
      return at::kHalf;
    case DType::BF16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

}  // namespace

at::Tensor view_stored(const TensorView& stored) {
  const at::IntArrayRef shape(stored.shape.data(), stored.shape.size());
  if (const auto dtype = native_dtype(stored.dtype)) {
    const auto address = reinterpret_cast<uintptr_t>(stored.bytes.data());
    if (address % dtype_bytes(stored.dtype) == 0 && !stored.bytes.empty()) {
      return at::from_blob(const_cast<std::byte*>(stored.bytes.data()), shape, *dtype);
    }
    at::Tensor copy = at::empty(shape, *dtype);
    if (!stored.bytes.empty()) {
      std::memcpy(copy.data_ptr(), stored.bytes.data(), stored.bytes.size());
    }
    return copy;
  }
  if (!is_floating_point(stored.dtype)) {
    throw InputError(
        fmt::format("has type {}, expected a floating-point type", dtype_name(stored.dtype)));
  }
  at::Tensor copy = at::empty(shape, at::kFloat);
  convert_to_float32(stored.dtype, stored.bytes,
                     {copy.data_ptr<float>(), static_cast<size_t>(copy.numel())});
  return copy;
}

at::Tensor copy_stored(const TensorView& stored, at::ScalarType dtype) {
  return view_stored(stored).to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

DType stored_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return DType::F32;
    case at::kBFloat16:
      return DType::BF16;
    case at::kHalf:
      return DType::F16;
    case at::kLong:
      return DType::I64;
    case at::kChar:
      return DType::I8;
    case at::kByte:
      return DType::U8;
    default:
      throw_broken_invariant("the dtype can be stored", __FILE__, __LINE__);
  }
}

}  // namespace e5v::detail
