#include "e5v/nn/packed_panels.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "e5v/base/random.h"
#include "e5v/kernels/elementwise.h"
#include "e5v/kernels/quantize.h"

namespace e5v::detail {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

/// Rows in one call of oneDNN; the last group is filled up to a multiple of kGroupStep. It is slow
/// on odd numbers of rows, and takes ~1 ms to generate code for a new one.
constexpr int64_t kGroup = 128;
constexpr int64_t kGroupStep = 32;
/// Half of a small second-level cache.
constexpr int64_t kPanelBytes = 1 << 20;
constexpr int64_t kFewestFeatures = 64, kMostFeatures = 256;

/// With pages of 2 MB instead of 4 kB products are 15 % faster. Only asked for, not insisted on.
at::Tensor allocate(int64_t bytes) {
  constexpr size_t kHugePage = 2 << 20;
  if (bytes < static_cast<int64_t>(2 * kHugePage)) return at::empty({bytes}, at::kByte);
  void* memory = nullptr;
  if (posix_memalign(&memory, kHugePage, bytes) != 0) throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);
  return at::from_blob(
      memory, {bytes}, [](void* p) { std::free(p); }, at::kByte);
}

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t size_of(memory::data_type type) {
  return static_cast<int64_t>(memory::data_type_size(type));
}

/// y (+)= sums, both [num_rows, features], y with `y_stride` elements between rows.
template <class T>
void write_rows(const void* sums, int64_t num_rows, int64_t features, void* y, int64_t y_stride,
                bool accumulate) {
  const T* from = static_cast<const T*>(sums);
  T* to = static_cast<T*>(y);
  for (int64_t row = 0; row < num_rows; ++row, from += features, to += y_stride) {
    if constexpr (std::is_same_v<T, float>) {
      if (accumulate) {
        add_in_place(to, from, features);
        continue;
      }
    }
    std::copy_n(from, features, to);
  }
}

/// An order of 8-bit weights [in, out] that oneDNN's own reorder goes through value by value:
/// blocks of 64 outputs by 64 inputs, four inputs side by side, and then for each output -128 times
/// its sum, which makes up for x being multiplied as unsigned.
constexpr int64_t kByteBlock = 64, kBytesTogether = 4;
/// Features whose bytes together fill a line of the cache, written at once.
constexpr int64_t kLineFeatures = 16;

int64_t byte_blocks_size(int64_t in_features, int64_t out_features) {
  const int64_t out = round_up(out_features, kByteBlock);
  return out * round_up(in_features, kByteBlock) + out * static_cast<int64_t>(sizeof(int32_t));
}

/// rows [out_features, in_features] into that order.
void pack_byte_blocks(const int8_t* rows, int64_t in_features, int64_t out_features,
                      int8_t* packed) {
  const int64_t out = round_up(out_features, kByteBlock), in = round_up(in_features, kByteBlock);
  auto* const sums = reinterpret_cast<int32_t*>(packed + out * in);
  if (in > in_features || out > out_features) {
    std::memset(packed, 0, static_cast<size_t>(byte_blocks_size(in_features, out_features)));
  }
  const int64_t num_whole = in_features / kBytesTogether;
  for (int64_t first = 0; first < out_features; first += kLineFeatures) {
    const int64_t count = std::min(kLineFeatures, out_features - first);
    const int8_t* const from = rows + first * in_features;
    int8_t* const to =
        packed + first / kByteBlock * kByteBlock * in + first % kByteBlock * kBytesTogether;
    for (int64_t i = 0; i < num_whole; ++i) {
      for (int64_t f = 0; f < count; ++f) {
        std::memcpy(to + (i * kByteBlock + f) * kBytesTogether,
                    from + f * in_features + i * kBytesTogether, kBytesTogether);
      }
    }
    for (int64_t f = 0; f < count; ++f) {
      const int8_t* const row = from + f * in_features;
      for (int64_t i = num_whole * kBytesTogether; i < in_features; ++i) {
        to[(num_whole * kByteBlock + f) * kBytesTogether + i % kBytesTogether] = row[i];
      }
      int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < in_features; ++i) sum += row[i];
      sums[first + f] = -128 * sum;
    }
  }
}

/// `values` [in, out] with these strides, in the order that oneDNN asks for.
void reorder(const void* values, memory::data_type type, int64_t in_features, int64_t out_features,
             int64_t in_stride, int64_t out_stride, const memory::desc& order, void* packed) {
  memory from({{in_features, out_features}, type, memory::dims{in_stride, out_stride}},
              onednn::engine(), const_cast<void*>(values));
  memory to(order, onednn::engine(), packed);
  dnnl::stream stream(onednn::engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

/// True if oneDNN's order for a panel of this shape is that of pack_byte_blocks. oneDNN does not
/// say; random weights packed both ways do. Thread-safe.
bool is_in_byte_blocks(int64_t in_features, int64_t out_features, const memory::desc& order) {
  const auto size = static_cast<size_t>(order.get_size());
  if (size < static_cast<size_t>(byte_blocks_size(in_features, out_features))) return false;
  static std::mutex mutex;
  static std::map<std::pair<int64_t, int64_t>, bool> known;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace({in_features, out_features});
  if (is_new) {
    SplitMix64 random(1);
    std::vector<int8_t> rows(static_cast<size_t>(in_features * out_features));
    for (int8_t& value : rows) value = static_cast<int8_t>(random.next());
    // Equal to the last byte: neither writes what the other leaves alone.
    std::vector<int8_t> ours(size, 1), theirs(size, 1);
    reorder(rows.data(), memory::data_type::s8, in_features, out_features, 1, in_features, order,
            theirs.data());
    pack_byte_blocks(rows.data(), in_features, out_features, ours.data());
    found->second = ours == theirs;
  }
  return found->second;
}

}  // namespace

PanelProduct::PanelProduct(int64_t in_features, int64_t out_features, DataType type)
    : in_features_(in_features), out_features_(out_features), type_(type) {
  const int64_t fitting =
      kPanelBytes / (in_features * size_of(type)) / kFewestFeatures * kFewestFeatures;
  panel_features_ = std::min(std::clamp(fitting, kFewestFeatures, kMostFeatures), out_features);
  const auto best_order = [&](int64_t features) {
    const DataType sums = type == DataType::s8 ? DataType::s32 : DataType::f32;
    return onednn::best_weights_order({kGroup, in_features, features, type, sums});
  };
  order_ = best_order(panel_features_);
  last_order_ = best_order(num_features(num_panels() - 1));
}

int64_t PanelProduct::num_features(int64_t panel) const {
  return std::min(panel_features_, out_features_ - first_feature(panel));
}

const memory::desc& PanelProduct::order(int64_t panel) const {
  return panel + 1 == num_panels() ? last_order_ : order_;
}

bool has_exact_int8_products() {
  static const bool result = [] {
    constexpr int64_t kSize = 64;
    const at::Tensor largest = at::full({kSize, kSize}, 127, at::kChar);
    const at::Tensor ones = at::ones({kSize}, at::kFloat), y = at::zeros({kSize, kSize});
    try {
      PackedPanels panels(kSize, kSize, PanelProduct::DataType::s8);
      panels.pack(0, largest.data_ptr());
      panels.multiply(largest.data_ptr(), kSize, nullptr, y.data_ptr(), PanelProduct::DataType::f32,
                      /*accumulate=*/false,
                      PanelProduct::Scales{ones.data_ptr<float>(), ones.data_ptr<float>()});
    } catch (const dnnl::error&) {
      return false;
    }
    return (y == kSize * 127 * 127).all().item<bool>();
  }();
  return result;
}

void* thread_scratch(int which, int64_t bytes) {
  thread_local at::Tensor scratch[2];
  at::Tensor& own = scratch[which];
  if (!own.defined() || own.numel() < bytes) own = at::empty({bytes}, at::kByte);
  return own.data_ptr();
}

void PanelProduct::pack(int64_t panel, const void* values, int64_t in_stride, int64_t out_stride,
                        void* packed) const {
  const int64_t features = num_features(panel);
  const bool are_byte_rows = type_ == DataType::s8 && in_stride == 1 &&
                             out_stride == in_features_ &&
                             is_in_byte_blocks(in_features_, features, order(panel));
  if (are_byte_rows) {
    pack_byte_blocks(static_cast<const int8_t*>(values), in_features_, features,
                     static_cast<int8_t*>(packed));
  } else {
    reorder(values, type_, in_features_, features, in_stride, out_stride, order(panel), packed);
  }
}

const void* pack_for_thread(const PanelProduct& product, int64_t panel, const void* values,
                            int64_t in_stride, int64_t out_stride) {
  void* const packed = thread_scratch(0, static_cast<int64_t>(product.order(panel).get_size()));
  product.pack(panel, values, in_stride, out_stride, packed);
  return packed;
}

PackedPanels::PackedPanels(int64_t in_features, int64_t out_features, DataType type)
    : product_(in_features, out_features, type),
      panel_bytes_(round_up(static_cast<int64_t>(product_.order(0).get_size()), 64)) {
  const int64_t last = num_panels() - 1;
  data_ = allocate(last * panel_bytes_ + static_cast<int64_t>(product_.order(last).get_size()));
}

std::byte* PackedPanels::address(int64_t panel) const {
  return static_cast<std::byte*>(data_.data_ptr()) + panel * panel_bytes_;
}

void PackedPanels::pack(int64_t panel, const void* rows) {
  product_.pack(panel, rows, 1, product_.in_features(), address(panel));
}

void PackedPanels::unpack(int64_t panel, void* rows) const {
  memory from(product_.order(panel), onednn::engine(), address(panel));
  memory to({{product_.in_features(), num_features(panel)}, product_.type(), Tag::ba},
            onednn::engine(), rows);
  dnnl::stream stream(onednn::engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

void PackedPanels::multiply(const void* x, int64_t num_rows, const float* bias, void* y,
                            DataType result, bool accumulate, std::optional<Scales> scales) const {
  product_.multiply([this](int64_t panel) { return address(panel); }, x, num_rows, bias, y, result,
                    accumulate, scales);
}

void PanelProduct::multiply(const FindPanel& find_panel, const void* x, int64_t num_rows,
                            const float* bias, void* y, DataType result, bool accumulate,
                            std::optional<Scales> scales) const {
  const int64_t x_row_bytes = in_features_ * size_of(type_);
  const int64_t y_row_bytes = out_features_ * size_of(result);
  const auto* from = static_cast<const std::byte*>(x);
  auto* to = static_cast<std::byte*>(y);

  const int64_t num_groups = (num_rows + kGroup - 1) / kGroup;
  const int64_t last_row = (num_groups - 1) * kGroup, last_count = num_rows - last_row;
  const int64_t filled_count = round_up(last_count, kGroupStep);
  std::vector<std::byte> filled;  // the last group, where x ends before it
  if (filled_count > last_count) {
    filled.resize(filled_count * x_row_bytes);
    std::copy_n(from + last_row * x_row_bytes, last_count * x_row_bytes, filled.data());
  }

  // Each task takes a panel past some groups: all of them where there are panels for every thread.
  const int64_t num_threads = at::get_num_threads();
  const int64_t num_parts =
      std::clamp<int64_t>((2 * num_threads + num_panels() - 1) / num_panels(), 1, num_groups);
  std::exception_ptr error;
  std::mutex error_mutex;
#pragma omp parallel for schedule(dynamic) num_threads(static_cast <int>(num_threads))
  for (int64_t i = 0; i < num_panels() * num_parts; ++i) {
    const int64_t panel = i / num_parts, part = i % num_parts;
    try {
      const void* const address = find_panel(panel);
      for (int64_t group = num_groups * part / num_parts;
           group < num_groups * (part + 1) / num_parts; ++group) {
        const bool is_last = group + 1 == num_groups;
        const std::byte* rows = from + group * kGroup * x_row_bytes;
        std::optional<Scales> group_scales = scales;
        if (scales) group_scales->rows += group * kGroup;
        multiply_panel(panel, address, is_last && !filled.empty() ? filled.data() : rows,
                       is_last ? last_count : kGroup, is_last ? filled_count : kGroup, bias,
                       to + group * kGroup * y_row_bytes, result, accumulate, group_scales);
      }
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

void PanelProduct::multiply_panel(int64_t panel, const void* address, const void* x,
                                  int64_t num_rows, int64_t num_filled_rows, const float* bias,
                                  void* y, DataType result, bool accumulate,
                                  std::optional<Scales> scales) const {
  const int64_t first = first_feature(panel), count = num_features(panel);
  thread_local std::vector<float> sums;  // large enough for every result type
  sums.resize(std::max<size_t>(sums.size(), kGroup * kMostFeatures));
  const bool has_bias = bias != nullptr && !scales;
  const onednn::MatmulKey key{
      num_filled_rows, in_features_, count, type_, scales ? DataType::s32 : result, has_bias};
  onednn::Matmul::find_or_make(key, order(panel))
      ->execute(address, x, has_bias ? bias + first : nullptr, sums.data());
  void* const columns = static_cast<std::byte*>(y) + first * size_of(result);
  if (scales) {
    const auto* integers = reinterpret_cast<const int32_t*>(sums.data());
    const float* column_scales = scales->columns + first;
    if (bias != nullptr) bias += first;
    if (result == DataType::bf16) {
      scale_sums(integers, num_rows, count, scales->rows, column_scales, bias,
                 static_cast<BFloat16*>(columns), out_features_);
    } else {
      scale_sums(integers, num_rows, count, scales->rows, column_scales, bias, accumulate,
                 static_cast<float*>(columns), out_features_);
    }
  } else if (size_of(result) == 2) {
    write_rows<uint16_t>(sums.data(), num_rows, count, columns, out_features_, false);
  } else {
    write_rows<float>(sums.data(), num_rows, count, columns, out_features_, accumulate);
  }
}

}  // namespace e5v::detail
