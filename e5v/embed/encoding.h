#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "e5v/base/npy.h"

namespace e5v::detail {

/// How a vector of unit length is stored.
enum class Encoding {
  kFloat32,
  kFloat16,
  /// round(127 x / max|x|): cosines need no scale; 4x smaller.
  kInt8,
  /// One bit a dimension, 1 where x > 0, the first dimension in the highest bit (numpy.packbits);
  /// 32x smaller, compared by Hamming distance. The last byte is filled with zeros.
  kBinary,
};

/// Element type and number of elements of one encoded vector.
NpyType encoding_type(Encoding encoding);
int64_t encoded_size(Encoding encoding, int64_t dimensions);

/// Appends the encoded form of `vector` to `out`.
void append_encoded(std::span<const float> vector, Encoding encoding, std::vector<std::byte>& out);

/// Keeps the first `dimensions` values of a vector and scales them to unit length (Matryoshka
/// truncation, Kusupati et al. 2022). A vector of zeros stays zero. 0 dimensions = all.
void truncate_and_normalize(std::vector<float>& vector, int64_t dimensions);

}  // namespace e5v::detail
