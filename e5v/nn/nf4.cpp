#include "e5v/nn/nf4.h"

#include <ATen/Parallel.h>
#include <ATen/ceil_div.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/kernels/four_bits.h"
#include "e5v/nn/own_gradient.h"
#include "e5v/nn/streamed_product.h"

namespace e5v::detail {
namespace {

constexpr std::array<float, 16> kNf4Values = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
constexpr uint8_t kNf4Zero = 7;

std::array<float, 256> make_dynamic_values() {
  std::array<float, 256> values{};
  size_t size = 0;
  values[size++] = 0.0f;
  values[size++] = 1.0f;
  // Seven exponents; exponent e has 2^e fractions, the midpoints of equal parts of [0.1, 1]. In
  // float32, with the edges counted from the nearer end, as torch's linspace does for it.
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int parts = 1 << exponent;
    const auto scale = static_cast<float>(std::pow(10.0, exponent - 6));
    const float step = (1.0f - 0.1f) / static_cast<float>(parts);
    const auto edge = [&](int i) {
      const bool lower_half = i < (parts + 1) / 2;
      return lower_half ? 0.1f + step * static_cast<float>(i)
                        : 1.0f - step * static_cast<float>(parts - i);
    };
    for (int i = 0; i < parts; ++i) {
      const float value = scale * ((edge(i) + edge(i + 1)) / 2.0f);
      values[size++] = value;
      values[size++] = -value;
    }
  }
  E5V_ASSERT(size == values.size());
  std::sort(values.begin(), values.end());
  return values;
}

/// Midpoints between neighbours: value x belongs to the number of midpoints below it.
template <size_t N>
std::array<float, N - 1> midpoints(const std::array<float, N>& values) {
  std::array<float, N - 1> middles{};
  for (size_t i = 0; i + 1 < N; ++i) middles[i] = (values[i] + values[i + 1]) * 0.5f;
  return middles;
}

template <size_t N>
uint8_t nearest(float x, const std::array<float, N>& middles) {
  return static_cast<uint8_t>(std::lower_bound(middles.begin(), middles.end(), x) -
                              middles.begin());
}

/// Rounds each block's scale to 8 bits; fills `absmax`, `nested_absmax` and `offset`.
void quantize_scales(const std::vector<float>& scales, Nf4Tensor& tensor) {
  const auto blocks = static_cast<int64_t>(scales.size());
  double sum = 0;
  for (const float scale : scales) sum += scale;
  tensor.offset = blocks > 0 ? static_cast<float>(sum / static_cast<double>(blocks)) : 0.0f;
  tensor.absmax = at::empty({blocks}, at::kByte);
  tensor.nested_absmax = at::empty({at::ceil_div(blocks, kNf4NestedBlock)}, at::kFloat);
  const auto middles = midpoints(dynamic_values());
  auto* absmax = tensor.absmax.data_ptr<uint8_t>();
  auto* nested = tensor.nested_absmax.data_ptr<float>();
  for (int64_t begin = 0; begin < blocks; begin += kNf4NestedBlock) {
    const int64_t end = std::min(begin + kNf4NestedBlock, blocks);
    float largest = 0;
    for (int64_t i = begin; i < end; ++i) {
      largest = std::max(largest, std::abs(scales[static_cast<size_t>(i)] - tensor.offset));
    }
    nested[begin / kNf4NestedBlock] = largest;
    const float inverse = largest > 0 ? 1.0f / largest : 0.0f;
    for (int64_t i = begin; i < end; ++i) {
      absmax[i] = nearest((scales[static_cast<size_t>(i)] - tensor.offset) * inverse, middles);
    }
  }
}

/// The scale of a block.
class BlockScales {
 public:
  explicit BlockScales(const Nf4Tensor& tensor)
      : absmax_(tensor.absmax.data_ptr<uint8_t>()),
        nested_(tensor.nested_absmax.data_ptr<float>()),
        offset_(tensor.offset),
        dynamic_(dynamic_values()) {}
  float operator()(int64_t block) const {
    return dynamic_[absmax_[block]] * nested_[block / kNf4NestedBlock] + offset_;
  }

 private:
  const uint8_t* absmax_;
  const float* nested_;
  float offset_;
  const std::array<float, 256>& dynamic_;
};

/// Whole blocks from `first` on, by the kernel.
void widen_whole_blocks(const uint8_t* codes, const BlockScales& scale_of, int64_t first,
                        int64_t num_blocks, at::BFloat16* out) {
  constexpr int64_t kAtOnce = 64;
  float scales[kAtOnce];
  for (int64_t done = 0; done < num_blocks; done += kAtOnce) {
    const int64_t count = std::min(kAtOnce, num_blocks - done);
    for (int64_t i = 0; i < count; ++i) scales[i] = scale_of(first + done + i);
    widen_nf4(codes + (first + done) * kNf4Block / 2, scales, kNf4Values.data(), count,
              reinterpret_cast<BFloat16*>(out + done * kNf4Block));
  }
}

/// Values [begin, end) of the tensor, row-major.
template <class T>
void dequantize(const Nf4Tensor& tensor, int64_t begin, int64_t end, T* out) {
  const auto* codes = tensor.codes.data_ptr<uint8_t>();
  const BlockScales scale_of(tensor);
  for (int64_t i = begin; i < end;) {
    const int64_t block = i / kNf4Block, last = std::min((block + 1) * kNf4Block, end);
    if constexpr (std::is_same_v<T, at::BFloat16>) {
      const int64_t num_whole = i % kNf4Block == 0 ? (end - i) / kNf4Block : 0;
      if (num_whole > 0) {
        widen_whole_blocks(codes, scale_of, block, num_whole, out);
        i += num_whole * kNf4Block;
        out += num_whole * kNf4Block;
        continue;
      }
    }
    const float scale = scale_of(block);
    T scaled[16];
    for (size_t v = 0; v < 16; ++v) scaled[v] = static_cast<T>(kNf4Values[v] * scale);
    if (i % 2 != 0) *out++ = scaled[codes[i++ / 2] & 15];
    for (; i + 1 < last; i += 2, out += 2) {
      const uint8_t pair = codes[i / 2];
      out[0] = scaled[pair >> 4];
      out[1] = scaled[pair & 15];
    }
    if (i < last) *out++ = scaled[codes[i++ / 2] >> 4];
  }
}

template <class T>
void dequantize_all(const Nf4Tensor& tensor, T* out, int64_t size) {
  constexpr int64_t kGrain = 512 * kNf4Block;
  at::parallel_for(0, size, kGrain, [&](int64_t begin, int64_t end) {
    dequantize(tensor, begin, end, out + begin);
  });
}

using Parts = std::vector<Nf4Tensor>;

/// What a product reads: blocks that are widened as it comes to them.
ReadWeightBlock blocks_of(const std::shared_ptr<const Parts>& parts) {
  return [parts](int64_t first_row, int64_t num_rows, int64_t first_column, int64_t num_columns,
                 at::BFloat16* scratch) {
    int64_t part_begin = 0;
    at::BFloat16* out = scratch;
    for (const Nf4Tensor& part : *parts) {
      const int64_t begin = std::max(first_row, part_begin) - part_begin;
      const int64_t end = std::min(first_row + num_rows - part_begin, part.shape[0]);
      if (begin < end && num_columns == part.shape[1]) {  // whole rows lie end to end
        dequantize(part, begin * num_columns, end * num_columns, out);
        out += (end - begin) * num_columns;
      } else {
        for (int64_t row = begin; row < end; ++row, out += num_columns) {
          const int64_t at = row * part.shape[1] + first_column;
          dequantize(part, at, at + num_columns, out);
        }
      }
      part_begin += part.shape[0];
    }
    return WeightBlock{scratch, num_columns};
  };
}

int64_t num_rows(const Parts& parts) {
  int64_t sum = 0;
  for (const Nf4Tensor& part : parts) sum += part.shape[0];
  return sum;
}

at::Tensor dequantize_parts(const Parts& parts, at::ScalarType dtype) {
  std::vector<at::Tensor> rows;
  for (const Nf4Tensor& part : parts) rows.push_back(dequantize_nf4(part, dtype));
  return rows.size() == 1 ? rows[0] : at::cat(rows);
}

bool can_be_streamed(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 && has_streamed_products();
}

at::Tensor product_of(const at::Tensor& x, const std::shared_ptr<const Parts>& weight,
                      at::ScalarType out_dtype) {
  const at::NoGradGuard no_grad;
  if (can_be_streamed(x)) {
    return streamed_product(x, num_rows(*weight), blocks_of(weight), out_dtype);
  }
  const at::ScalarType dtype = torch_operand_dtype(x);
  return at::linear(x.to(dtype), dequantize_parts(*weight, dtype)).to(out_dtype);
}

at::Tensor gradient_of(const at::Tensor& dy, const std::shared_ptr<const Parts>& weight) {
  if (can_be_streamed(dy)) {
    return streamed_gradient(dy, weight->front().shape[1], blocks_of(weight), dy.scalar_type());
  }
  const at::ScalarType dtype = torch_operand_dtype(dy);
  return at::mm(dy.to(dtype), dequantize_parts(*weight, dtype)).to(dy.scalar_type());
}

}  // namespace

const std::array<float, 16>& nf4_values() { return kNf4Values; }

const std::array<float, 256>& dynamic_values() {
  static const std::array<float, 256> values = make_dynamic_values();
  return values;
}

int64_t Nf4Tensor::num_bytes() const {
  return static_cast<int64_t>(codes.nbytes() + absmax.nbytes() + nested_absmax.nbytes());
}

Nf4Tensor quantize_nf4(const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const at::Tensor flat = weight.contiguous().view(-1);
  const int64_t size = flat.numel(), blocks = at::ceil_div(size, kNf4Block);
  Nf4Tensor tensor;
  tensor.shape = weight.sizes().vec();
  tensor.codes = at::zeros({at::ceil_div(size, int64_t{2})}, at::kByte);
  auto* codes = tensor.codes.data_ptr<uint8_t>();
  std::vector<float> scales(static_cast<size_t>(blocks));
  const auto middles = midpoints(kNf4Values);
  at::parallel_for(0, blocks, 4096, [&](int64_t begin, int64_t end) {
    // Widened piece by piece: a large weight is never held in float32 as a whole.
    const int64_t first = begin * kNf4Block, last = std::min(end * kNf4Block, size);
    const at::Tensor wide = flat.slice(0, first, last).to(at::kFloat).contiguous();
    const float* values = wide.data_ptr<float>();
    for (int64_t block = begin; block < end; ++block) {
      const int64_t from = block * kNf4Block, to = std::min(from + kNf4Block, size);
      float largest = 0;
      for (int64_t i = from; i < to; ++i) {
        const float magnitude = std::abs(values[i - first]);
        // A NaN wins and stays, to be seen below.
        if (magnitude > largest || std::isnan(magnitude)) largest = magnitude;
      }
      scales[static_cast<size_t>(block)] = largest;
      const float inverse = 1.0f / largest;
      for (int64_t i = from; i < to; ++i) {
        const uint8_t code = largest > 0 ? nearest(values[i - first] * inverse, middles) : kNf4Zero;
        codes[i / 2] |= static_cast<uint8_t>(i % 2 == 0 ? code << 4 : code);
      }
    }
  });
  for (const float scale : scales) {
    if (!std::isfinite(scale)) throw InputError("a weight is not finite: NF4 cannot hold it");
  }
  quantize_scales(scales, tensor);
  return tensor;
}

at::Tensor dequantize_nf4(const Nf4Tensor& tensor, at::ScalarType dtype) {
  at::Tensor values = at::empty(tensor.shape, dtype);
  if (dtype == at::kBFloat16) {
    dequantize_all(tensor, values.data_ptr<at::BFloat16>(), values.numel());
  } else {
    E5V_ASSERT(dtype == at::kFloat);
    dequantize_all(tensor, values.data_ptr<float>(), values.numel());
  }
  return values;
}

Nf4Storage::Nf4Storage(const at::Tensor& weight) : Nf4Storage(Parts{quantize_nf4(weight)}) {}

Nf4Storage::Nf4Storage(std::vector<Nf4Tensor> parts)
    : parts_(std::make_shared<const Parts>(std::move(parts))) {
  E5V_ASSERT(!parts_->empty());
  for (const Nf4Tensor& part : *parts_) {
    E5V_ASSERT(part.shape.size() == 2 && part.shape[1] == parts_->front().shape[1]);
  }
}

at::Tensor Nf4Storage::product(const at::Tensor& x, const at::Tensor& bias,
                               at::ScalarType out_dtype) const {
  const auto backward = [weight = parts_,
                         dtype = x.scalar_type()](const at::Tensor& dy) -> std::vector<at::Tensor> {
    return {gradient_of(dy.to(dtype), weight)};
  };
  const at::Tensor y = with_own_gradient(product_of(x, parts_, out_dtype), {x}, backward);
  return bias.defined() ? y + bias.to(out_dtype) : y;
}

at::Tensor Nf4Storage::input_gradient(const at::Tensor& dy) const {
  return gradient_of(dy, parts_);
}

void Nf4Storage::add_product(const at::Tensor& x, const at::Tensor& bias,
                             at::Tensor& residual) const {
  if (can_be_streamed(x) && residual.scalar_type() == at::kFloat && residual.is_contiguous()) {
    add_streamed_product(x, blocks_of(parts_), residual);
    if (bias.defined()) residual.add_(bias);
    return;
  }
  residual.add_(product(x, bias, residual.scalar_type()));
}

at::Tensor Nf4Storage::dense() const { return dequantize_parts(*parts_, at::kFloat); }

int64_t Nf4Storage::num_bytes() const {
  int64_t sum = 0;
  for (const Nf4Tensor& part : *parts_) sum += part.num_bytes();
  return sum;
}

}  // namespace e5v::detail
