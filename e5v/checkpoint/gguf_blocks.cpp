// The block formats, as ggml-quants.c defines them.

#include <array>
#include <cstring>

#include "e5v/base/error.h"
#include "e5v/checkpoint/convert.h"
#include "e5v/checkpoint/gguf.h"

namespace e5v::detail {
namespace {

struct TypeTraits {
  GgufType type;
  std::string_view name;
  int64_t block_values, block_bytes;
};

constexpr std::array kTypes = {
    TypeTraits{GgufType::kF32, "F32", 1, 4},       TypeTraits{GgufType::kF16, "F16", 1, 2},
    TypeTraits{GgufType::kBF16, "BF16", 1, 2},     TypeTraits{GgufType::kQ4_0, "Q4_0", 32, 18},
    TypeTraits{GgufType::kQ8_0, "Q8_0", 32, 34},   TypeTraits{GgufType::kQ4_K, "Q4_K", 256, 144},
    TypeTraits{GgufType::kQ6_K, "Q6_K", 256, 210},
};

const TypeTraits& traits_of(GgufType type) {
  for (const TypeTraits& traits : kTypes) {
    if (traits.type == type) return traits;
  }
  throw_broken_invariant("the type is an enumerator", __FILE__, __LINE__);
}

float half_at(const uint8_t* bytes) {
  return float16_to_float32(static_cast<uint16_t>(bytes[0] | bytes[1] << 8));
}

/// d, 32 signed bytes.
void dequantize_q8_0(const uint8_t* block, float* y) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

/// d, 16 bytes: value j in the low half of byte j, value 16 + j in its high half, 8 more than it
/// is.
void dequantize_q4_0(const uint8_t* block, float* y) {
  const float d = half_at(block);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>((block[2 + j] & 15) - 8);
    y[16 + j] = d * static_cast<float>((block[2 + j] >> 4) - 8);
  }
}

/// d, dmin, eight scales and minima of 6 bits each in 12 bytes, 128 bytes of codes.
void dequantize_q4_k(const uint8_t* block, float* y) {
  const float d = half_at(block), dmin = half_at(block + 2);
  const uint8_t* const packed = block + 4;
  const uint8_t* codes = block + 16;
  const auto scale = [&](int j) {
    return j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
  };
  const auto minimum = [&](int j) {
    return j < 4 ? packed[j + 4] & 63 : packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
  };
  for (int pair = 0; pair < 4; ++pair, codes += 32, y += 64) {
    const float low_scale = d * static_cast<float>(scale(2 * pair));
    const float low_minimum = dmin * static_cast<float>(minimum(2 * pair));
    const float high_scale = d * static_cast<float>(scale(2 * pair + 1));
    const float high_minimum = dmin * static_cast<float>(minimum(2 * pair + 1));
    for (int i = 0; i < 32; ++i) {
      y[i] = low_scale * static_cast<float>(codes[i] & 15) - low_minimum;
      y[32 + i] = high_scale * static_cast<float>(codes[i] >> 4) - high_minimum;
    }
  }
}

/// 128 bytes of low halves, 64 of the two bits above, 16 signed scales, d.
void dequantize_q6_k(const uint8_t* block, float* y) {
  const uint8_t* low = block;
  const uint8_t* high = block + 128;
  const uint8_t* scales = block + 192;
  const float d = half_at(block + 208);
  for (int half = 0; half < 2; ++half, low += 64, high += 32, scales += 8, y += 128) {
    for (int i = 0; i < 32; ++i) {
      for (int part = 0; part < 4; ++part) {
        const int nibble = part < 2 ? low[i + 32 * part] & 15 : low[i + 32 * (part - 2)] >> 4;
        const int code = (nibble | (high[i] >> (2 * part) & 3) << 4) - 32;
        const auto scale = static_cast<int8_t>(scales[i / 16 + 2 * part]);
        y[i + 32 * part] = d * static_cast<float>(scale) * static_cast<float>(code);
      }
    }
  }
}

}  // namespace

std::string_view gguf_type_name(GgufType type) { return traits_of(type).name; }
int64_t gguf_block_values(GgufType type) { return traits_of(type).block_values; }
int64_t gguf_block_bytes(GgufType type) { return traits_of(type).block_bytes; }

void dequantize_gguf(GgufType type, std::span<const std::byte> blocks, std::span<float> values) {
  const TypeTraits& traits = traits_of(type);
  const auto num_blocks = static_cast<int64_t>(values.size()) / traits.block_values;
  E5V_ASSERT(num_blocks * traits.block_values == static_cast<int64_t>(values.size()) &&
             num_blocks * traits.block_bytes == static_cast<int64_t>(blocks.size()));
  const auto each_block = [&](void (*dequantize)(const uint8_t*, float*)) {
    const auto* block = reinterpret_cast<const uint8_t*>(blocks.data());
    float* y = values.data();
    for (int64_t i = 0; i < num_blocks; ++i) {
      dequantize(block, y);
      block += traits.block_bytes;
      y += traits.block_values;
    }
  };
  switch (type) {
    case GgufType::kF32:
      return convert_to_float32(DType::F32, blocks, values);
    case GgufType::kF16:
      return convert_to_float32(DType::F16, blocks, values);
    case GgufType::kBF16:
      return convert_to_float32(DType::BF16, blocks, values);
    case GgufType::kQ4_0:
      return each_block(dequantize_q4_0);
    case GgufType::kQ8_0:
      return each_block(dequantize_q8_0);
    case GgufType::kQ4_K:
      return each_block(dequantize_q4_k);
    case GgufType::kQ6_K:
      return each_block(dequantize_q6_k);
  }
}

}  // namespace e5v::detail
