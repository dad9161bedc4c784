#pragma once

#include <ATen/ATen.h>

namespace e5v::detail {

/// Billions of multiplications and additions a second that this machine reaches in matrix products
/// ([2048, 2048] weights, enough rows to be limited by arithmetic), of operands of `dtype` (kFloat,
/// kBFloat16 or kChar), with at::get_num_threads()
/// threads: the best of several. What all speed is compared with. bf16 without hardware for it
/// counts what PackedWeight does instead. Takes about a quarter of a second; 0 where the CPU has no
/// such product.
double measure_product_rate(at::ScalarType dtype);

}  // namespace e5v::detail
