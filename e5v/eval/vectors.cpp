#include "e5v/eval/vectors.h"

#include <cmath>

#include "e5v/base/error.h"

namespace e5v::detail {

void Vectors::append(std::span<const float> vector) {
  if (dimensions == 0) dimensions = static_cast<int64_t>(vector.size());
  E5V_ASSERT(static_cast<int64_t>(vector.size()) == dimensions);
  values.insert(values.end(), vector.begin(), vector.end());
}

void normalize(Vectors& vectors, std::string_view what) {
  for (int64_t i = 0; i < vectors.size(); ++i) {
    double squares = 0;
    for (const float value : vectors[i]) squares += static_cast<double>(value) * value;
    if (!std::isfinite(squares)) {
      throw InputError(
          fmt::format("vector {} of the {} has a NaN or infinite element", i + 1, what));
    }
    if (squares == 0) continue;
    const double scale = 1 / std::sqrt(squares);
    for (float& value : vectors[i]) value = static_cast<float>(value * scale);
  }
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return aa == 0 || bb == 0 ? 0 : ab / std::sqrt(aa * bb);
}

}  // namespace e5v::detail
