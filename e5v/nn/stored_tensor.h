#pragma once

#include <ATen/ATen.h>

#include "e5v/checkpoint/checkpoint.h"

namespace e5v::detail {

/// A stored floating-point tensor as ATen sees it: in place (float32, float16, bfloat16 that are
/// aligned), valid as long as the checkpoint; else copied, other types as float32.
/// Throws InputError if it is not floating point.
at::Tensor view_stored(const TensorView& stored);

/// A copy of its own in `dtype`.
at::Tensor copy_stored(const TensorView& stored, at::ScalarType dtype);

/// The type under which such a tensor is stored: of floating point, int64, int8 or uint8.
DType stored_dtype(at::ScalarType dtype);

}  // namespace e5v::detail
