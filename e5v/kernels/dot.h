#pragma once

#include <cstdint>

namespace e5v::detail {

/// Inner products of one query with many rows, as a search scans them: vectorised for the CPU's
/// level (isa.h), spread over rows by OpenMP. fp32 sums; a row's result depends on that row and
/// the level alone, to the bit, so that equal rows give equal results wherever they stand.
///
/// The rounding error of a result is at most dot_error_bound(size) · Σ |row[i] query[i]|.
/// rows [num_rows, size], row-major, of any alignment; query [size]; out [num_rows].
void dot_rows(const float* rows, const float* query, int64_t num_rows, int64_t size, float* out);
void dot_rows(const int8_t* rows, const float* query, int64_t num_rows, int64_t size, float* out);

/// size · 2⁻²⁴ and a little more: the bound for a sum of `size` products in any order.
double dot_error_bound(int64_t size);

}  // namespace e5v::detail
