#include "e5v/nn/onednn.h"

#include <ATen/ATen.h>
#include <omp.h>

#include <map>
#include <mutex>
#include <unordered_map>

namespace e5v::detail::onednn {
namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Tag = memory::format_tag;

/// oneDNN asks OpenMP for the number of threads when it makes a product. The setting is this
/// thread's own.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }

 private:
  int before_;
};

/// `weights` of format `any` lets oneDNN choose the order.
dnnl::matmul::primitive_desc describe(const MatmulKey& key, const memory::desc& weights) {
  const OneThread one_thread;
  const memory::desc x({key.rows, key.in_features}, key.operands, Tag::ab);
  // oneDNN 2.6 has its fast products only for a y without gaps between rows.
  const memory::desc y({key.rows, key.out_features}, key.result, Tag::ab);
  const memory::desc bias({1, key.out_features}, DataType::f32, Tag::ab);
  dnnl::primitive_attr attributes;
  // The library's own scratchpad is shared between threads; ours belongs to the call.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
  if (key.has_bias) return {engine(), x, weights, bias, y, attributes};
  return {engine(), x, weights, y, attributes};
#else
  if (key.has_bias) return {dnnl::matmul::desc(x, weights, bias, y), attributes, engine()};
  return {dnnl::matmul::desc(x, weights, y), attributes, engine()};
#endif
}

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

bool has_native_bf16() {
#if defined(__x86_64__)
  // A set of instructions has the bits of those that it includes.
  constexpr auto kBf16 = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  static const bool result =
      (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kBf16) == kBf16;
  return result;
#else
  return false;  // of other processors oneDNN says "all sets", and has no such products
#endif
}

memory::desc best_weights_order(const MatmulKey& key) {
  const memory::desc any({key.in_features, key.out_features}, key.operands, Tag::any);
  return describe(key, any).weights_desc();
}

Matmul::Matmul(const dnnl::matmul::primitive_desc& description, int64_t out_features)
    : primitive_(description),
      x_(description.src_desc()),
      weights_(description.weights_desc()),
      bias_({1, out_features}, DataType::f32, Tag::ab),
      y_(description.dst_desc()),
      scratchpad_(description.scratchpad_desc()) {}

std::shared_ptr<const Matmul> Matmul::find_or_make(const MatmulKey& key,
                                                   const memory::desc& weights_order) {
  // A model has few shapes; whoever makes many must not fill the memory with code.
  constexpr size_t kMaxProducts = 512;
  static std::mutex mutex;
  static std::map<MatmulKey, std::shared_ptr<const Matmul>> products;
  const std::lock_guard lock(mutex);
  if (const auto found = products.find(key); found != products.end()) return found->second;
  if (products.size() >= kMaxProducts) products.clear();
  const OneThread one_thread;
  auto product = std::make_shared<const Matmul>(describe(key, weights_order), key.out_features);
  products.emplace(key, product);
  return product;
}

void Matmul::execute(const void* weights, const void* x, const float* bias, void* y) const {
  thread_local at::Tensor scratchpad;
  const auto scratchpad_bytes = static_cast<int64_t>(scratchpad_.get_size());
  if (!scratchpad.defined() || scratchpad.numel() < scratchpad_bytes) {
    scratchpad = at::empty({scratchpad_bytes}, at::kByte);
  }
  const auto at_address = [](const memory::desc& desc, const void* data) {
    return memory(desc, engine(), const_cast<void*>(data));
  };
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, at_address(x_, x)},
      {DNNL_ARG_WEIGHTS, at_address(weights_, weights)},
      {DNNL_ARG_DST, at_address(y_, y)},
      {DNNL_ARG_SCRATCHPAD, at_address(scratchpad_, scratchpad.data_ptr())}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, at_address(bias_, bias));
  dnnl::stream stream(engine());
  primitive_.execute(stream, arguments);
  stream.wait();
}

}  // namespace e5v::detail::onednn
