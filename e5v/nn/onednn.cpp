#include "e5v/nn/onednn.h"

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace e5v::onednn {
namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Tag = memory::format_tag;

/// `weights` format `any` lets oneDNN choose the order.
dnnl::matmul::primitive_desc describe(const MatmulKey& key, const memory::desc& weights) {
  const memory::desc x({key.rows, key.in_features}, key.operands, Tag::ab);
  const memory::desc y({key.rows, key.out_features}, key.result,
                       memory::dims{key.result_stride, 1});
  const memory::desc bias({1, key.out_features}, DataType::f32, Tag::ab);
  dnnl::primitive_attr attributes;
  // The library's own scratchpad is shared between threads; ours belongs to the call.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (key.accumulate) {
    dnnl::post_ops add;
    add.append_sum();
    attributes.set_post_ops(add);
  }
#if DNNL_VERSION_MAJOR >= 3
  if (key.has_bias) return {engine(), x, weights, bias, y, attributes};
  return {engine(), x, weights, y, attributes};
#else
  if (key.has_bias) return {dnnl::matmul::desc(x, weights, bias, y), attributes, engine()};
  return {dnnl::matmul::desc(x, weights, y), attributes, engine()};
#endif
}

struct Product {
  dnnl::matmul primitive;
  memory::desc x, weights, bias, y, scratchpad;
};

/// Generated code, shared by all weights of the same shape.
class ProductCache {
 public:
  std::shared_ptr<const Product> get(const MatmulKey& key, const memory::desc& weights) {
    const std::lock_guard lock(mutex_);
    if (const auto found = products_.find(key); found != products_.end()) return found->second;
    // A model has few shapes; whoever makes many must not fill the memory with code.
    if (products_.size() >= kMaxProducts) products_.clear();
    const auto description = describe(key, weights);
    auto product = std::make_shared<const Product>(
        Product{dnnl::matmul(description), description.src_desc(), description.weights_desc(),
                memory::desc({1, key.out_features}, DataType::f32, Tag::ab), description.dst_desc(),
                description.scratchpad_desc()});
    products_.emplace(key, product);
    return product;
  }

 private:
  static constexpr size_t kMaxProducts = 512;
  std::mutex mutex_;
  std::map<MatmulKey, std::shared_ptr<const Product>> products_;
};

ProductCache& product_cache() {
  static ProductCache cache;
  return cache;
}

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

bool has_native_bf16() {
  // A set of instructions has the bits of those that it includes.
  constexpr auto kBf16 = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  static const bool result =
      (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kBf16) == kBf16;
  return result;
}

memory::desc best_weights_order(const MatmulKey& key) {
  const memory::desc any({key.in_features, key.out_features}, key.operands, Tag::any);
  return describe(key, any).weights_desc();
}

void matmul(const MatmulKey& key, const memory::desc& weights_order, const void* weights,
            const void* x, const float* bias, void* y) {
  const auto product = product_cache().get(key, weights_order);
  thread_local at::Tensor scratchpad;
  const auto scratchpad_bytes = static_cast<int64_t>(product->scratchpad.get_size());
  if (!scratchpad.defined() || scratchpad.numel() < scratchpad_bytes) {
    scratchpad = at::empty({scratchpad_bytes}, at::kByte);
  }
  const auto at_address = [](const memory::desc& desc, const void* data) {
    return memory(desc, engine(), const_cast<void*>(data));
  };
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, at_address(product->x, x)},
      {DNNL_ARG_WEIGHTS, at_address(product->weights, weights)},
      {DNNL_ARG_DST, at_address(product->y, y)},
      {DNNL_ARG_SCRATCHPAD, at_address(product->scratchpad, scratchpad.data_ptr())}};
  if (key.has_bias) arguments.emplace(DNNL_ARG_BIAS, at_address(product->bias, bias));
  dnnl::stream stream(engine());
  product->primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace e5v::onednn
