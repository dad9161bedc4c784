#include "e5v/embed/encoding.h"

#include <algorithm>
#include <cmath>

#include "e5v/base/error.h"
#include "e5v/checkpoint/convert.h"

namespace e5v::detail {
namespace {

void append_int8(std::span<const float> vector, std::vector<std::byte>& out) {
  float largest = 0;
  for (const float value : vector) largest = std::max(largest, std::abs(value));
  const float scale = largest > 0 ? 127 / largest : 0;
  for (const float value : vector) {
    out.push_back(static_cast<std::byte>(static_cast<int8_t>(std::nearbyint(value * scale))));
  }
}

void append_binary(std::span<const float> vector, std::vector<std::byte>& out) {
  for (size_t begin = 0; begin < vector.size(); begin += 8) {
    unsigned bits = 0;
    for (size_t i = 0; i < 8; ++i) {
      const bool positive = begin + i < vector.size() && vector[begin + i] > 0;
      bits = (bits << 1) | (positive ? 1 : 0);
    }
    out.push_back(static_cast<std::byte>(bits));
  }
}

}  // namespace

NpyType encoding_type(Encoding encoding) {
  switch (encoding) {
    case Encoding::kFloat32:
      return NpyType::kFloat32;
    case Encoding::kFloat16:
      return NpyType::kFloat16;
    case Encoding::kInt8:
      return NpyType::kInt8;
    case Encoding::kBinary:
      return NpyType::kUint8;
  }
  throw_broken_invariant("encoding is an enumerator", __FILE__, __LINE__);
}

int64_t encoded_size(Encoding encoding, int64_t dimensions) {
  return encoding == Encoding::kBinary ? (dimensions + 7) / 8 : dimensions;
}

void append_encoded(std::span<const float> vector, Encoding encoding, std::vector<std::byte>& out) {
  switch (encoding) {
    case Encoding::kFloat32: {
      const auto bytes = std::as_bytes(vector);
      out.insert(out.end(), bytes.begin(), bytes.end());
      return;
    }
    case Encoding::kFloat16: {
      const size_t begin = out.size();
      out.resize(begin + 2 * vector.size());
      convert_from_float32(DType::F16, vector, std::span(out).subspan(begin));
      return;
    }
    case Encoding::kInt8:
      return append_int8(vector, out);
    case Encoding::kBinary:
      return append_binary(vector, out);
  }
}

void truncate_and_normalize(std::vector<float>& vector, int64_t dimensions) {
  const auto kept = static_cast<size_t>(dimensions);
  if (dimensions > 0 && kept < vector.size()) vector.resize(kept);
  double sum = 0;
  for (const float value : vector) sum += static_cast<double>(value) * value;
  const double norm = std::sqrt(sum);
  if (!(norm > 0)) return;
  for (float& value : vector) value = static_cast<float>(value / norm);
}

}  // namespace e5v::detail
