#pragma once

namespace e5v {

enum class ProductKind { kFloat32, kBFloat16, kInt8 };

/// Billions of multiplications and additions a second that this machine reaches in matrix products
/// ([2048, 2048] weights, enough rows to be limited by arithmetic), with at::get_num_threads()
/// threads: the best of several. What all speed is compared with. bf16 without hardware for it
/// counts what PackedWeight does instead. Takes about a quarter of a second; 0 where the CPU has no
/// such product.
double measure_product_rate(ProductKind kind);

}  // namespace e5v
