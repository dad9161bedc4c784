#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// Vectors of equal length, one after the other.
struct Vectors {
  int64_t dimensions = 0;
  std::vector<float> values;  ///< [size(), dimensions]

  int64_t size() const {
    return dimensions == 0 ? 0 : static_cast<int64_t>(values.size()) / dimensions;
  }
  std::span<const float> operator[](int64_t i) const {
    return std::span(values).subspan(static_cast<size_t>(i * dimensions),
                                     static_cast<size_t>(dimensions));
  }
  std::span<float> operator[](int64_t i) {
    return std::span(values).subspan(static_cast<size_t>(i * dimensions),
                                     static_cast<size_t>(dimensions));
  }
  void append(std::span<const float> vector);
};

/// Scales each vector to length 1; one of zeros stays as it is. Throws InputError naming the first
/// vector that has a NaN or infinite element; `what` says what the vectors are of, in the plural.
void normalize(Vectors& vectors, std::string_view what);

/// The cosine of two vectors, in double; 0 where one of them is zero, as the published STS
/// evaluation has it.
double cosine(std::span<const float> a, std::span<const float> b);

}  // namespace e5v::detail
