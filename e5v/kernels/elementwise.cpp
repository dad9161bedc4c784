#include "e5v/kernels/elementwise.h"

#include <omp.h>

#include <algorithm>

#include "e5v/kernels/elementwise_kernels.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

const ElementwiseKernels& kernels() {
#if defined(E5V_KERNELS_X86)
  if (isa_level() >= IsaLevel::kAvx512) return kAvx512Elementwise;
  if (isa_level() >= IsaLevel::kAvx2) return kAvx2Elementwise;
#endif
  return kGenericElementwise;
}

/// Below this many elements a thread's start costs more than its work saves.
constexpr int64_t kMinElementsPerThread = 1 << 14;

/// Calls work(begin, end) on disjoint ranges that cover [0, num_rows); ranges begin at multiples of
/// `grain`, so that no two threads write the same cache line.
template <class Work>
void for_each_range(int64_t num_rows, int64_t row_size, int64_t grain, const Work& work) {
  const int64_t num_grains = (num_rows + grain - 1) / grain;
  const int64_t num_threads = std::min({static_cast<int64_t>(omp_get_max_threads()), num_grains,
                                        num_rows * row_size / kMinElementsPerThread});
  if (num_threads <= 1) {
    if (num_rows > 0) work(int64_t{0}, num_rows);
    return;
  }
#pragma omp parallel num_threads(static_cast <int>(num_threads))
  {
    const int64_t thread = omp_get_thread_num(), count = omp_get_num_threads();
    const int64_t begin = num_grains * thread / count * grain;
    const int64_t end = std::min(num_grains * (thread + 1) / count * grain, num_rows);
    if (begin < end) work(begin, end);
  }
}

template <class Out, class Kernel>
void rms_norm_with(Kernel kernel, const float* x, const float* weight, float eps, int64_t num_rows,
                   int64_t size, Out* out) {
  for_each_range(num_rows, size, 1, [&](int64_t begin, int64_t end) {
    kernel(x + begin * size, weight, eps, end - begin, size, out + begin * size);
  });
}

template <class Out, class Kernel>
void layer_norm_with(Kernel kernel, const float* x, const float* weight, const float* bias,
                     float eps, int64_t num_rows, int64_t size, Out* out) {
  for_each_range(num_rows, size, 1, [&](int64_t begin, int64_t end) {
    kernel(x + begin * size, weight, bias, eps, end - begin, size, out + begin * size);
  });
}

template <class T, class Kernel>
void rotary_with(Kernel kernel, T* x, int64_t row_stride, const float* cos, const float* sin,
                 int64_t num_tokens, int64_t num_heads, int64_t head_size) {
  const int64_t half = head_size / 2;
  for_each_range(num_tokens, num_heads * head_size, 1, [&](int64_t begin, int64_t end) {
    kernel(x + begin * row_stride, row_stride, cos + begin * half, sin + begin * half, end - begin,
           num_heads, head_size);
  });
}

template <class In, class Out, class Kernel>
void silu_mul_with(Kernel kernel, const In* gate_up, int64_t num_tokens, int64_t size, Out* out) {
  for_each_range(num_tokens, size, 1, [&](int64_t begin, int64_t end) {
    kernel(gate_up + begin * 2 * size, end - begin, size, out + begin * size);
  });
}

template <class In, class Out, class Kernel>
void map_with(Kernel kernel, const In* x, int64_t size, Out* out) {
  for_each_range(size, 1, 64,
                 [&](int64_t begin, int64_t end) { kernel(x + begin, end - begin, out + begin); });
}

template <class Gradient, class Kernel>
void rms_norm_backward_with(Kernel kernel, const float* x, const float* weight, float eps,
                            const Gradient* dy, int64_t num_rows, int64_t size, float* dx) {
  for_each_range(num_rows, size, 1, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * size;
    kernel(x + at, weight, eps, dy + at, end - begin, size, dx + at);
  });
}

template <class T, class Kernel>
void silu_mul_backward_with(Kernel kernel, const T* gate, const T* up, const T* dy, int64_t size,
                            T* d_gate, T* d_up) {
  for_each_range(size, 1, 64, [&](int64_t begin, int64_t end) {
    kernel(gate + begin, up + begin, dy + begin, end - begin, d_gate + begin, d_up + begin);
  });
}

template <class T, class Kernel>
void silu_mul_apart_with(Kernel kernel, const T* gate, const T* up, int64_t size, T* out) {
  for_each_range(size, 1, 64, [&](int64_t begin, int64_t end) {
    kernel(gate + begin, up + begin, end - begin, out + begin);
  });
}

template <class T, class Kernel>
void drop_with(Kernel kernel, const T* x, const uint64_t* row_keys, uint32_t threshold, float keep,
               int64_t num_rows, int64_t size, T* out) {
  for_each_range(num_rows, size, 1, [&](int64_t begin, int64_t end) {
    kernel(x + begin * size, row_keys + begin, threshold, keep, end - begin, size,
           out + begin * size);
  });
}

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, int64_t num_rows, int64_t size,
              float* out) {
  rms_norm_with(kernels().rms_norm_f32, x, weight, eps, num_rows, size, out);
}

void rms_norm(const float* x, const float* weight, float eps, int64_t num_rows, int64_t size,
              BFloat16* out) {
  rms_norm_with(kernels().rms_norm_bf16, x, weight, eps, num_rows, size, out);
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t num_rows,
                int64_t size, float* out) {
  layer_norm_with(kernels().layer_norm_f32, x, weight, bias, eps, num_rows, size, out);
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t num_rows,
                int64_t size, BFloat16* out) {
  layer_norm_with(kernels().layer_norm_bf16, x, weight, bias, eps, num_rows, size, out);
}

void rotary(float* x, int64_t row_stride, const float* cos, const float* sin, int64_t num_tokens,
            int64_t num_heads, int64_t head_size) {
  rotary_with(kernels().rotary_f32, x, row_stride, cos, sin, num_tokens, num_heads, head_size);
}

void rotary(BFloat16* x, int64_t row_stride, const float* cos, const float* sin, int64_t num_tokens,
            int64_t num_heads, int64_t head_size) {
  rotary_with(kernels().rotary_bf16, x, row_stride, cos, sin, num_tokens, num_heads, head_size);
}

void silu_mul(const float* gate_up, int64_t num_tokens, int64_t size, float* out) {
  silu_mul_with(kernels().silu_mul_f32, gate_up, num_tokens, size, out);
}

void silu_mul(const float* gate_up, int64_t num_tokens, int64_t size, BFloat16* out) {
  silu_mul_with(kernels().silu_mul_f32_bf16, gate_up, num_tokens, size, out);
}

void silu_mul(const BFloat16* gate_up, int64_t num_tokens, int64_t size, BFloat16* out) {
  silu_mul_with(kernels().silu_mul_bf16, gate_up, num_tokens, size, out);
}

void rms_norm_backward(const float* x, const float* weight, float eps, const float* dy,
                       int64_t num_rows, int64_t size, float* dx) {
  rms_norm_backward_with(kernels().rms_norm_backward_f32, x, weight, eps, dy, num_rows, size, dx);
}

void rms_norm_backward(const float* x, const float* weight, float eps, const BFloat16* dy,
                       int64_t num_rows, int64_t size, float* dx) {
  rms_norm_backward_with(kernels().rms_norm_backward_bf16, x, weight, eps, dy, num_rows, size, dx);
}

void silu_mul_apart(const float* gate, const float* up, int64_t size, float* out) {
  silu_mul_apart_with(kernels().silu_mul_apart_f32, gate, up, size, out);
}

void silu_mul_apart(const BFloat16* gate, const BFloat16* up, int64_t size, BFloat16* out) {
  silu_mul_apart_with(kernels().silu_mul_apart_bf16, gate, up, size, out);
}

void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t size,
                       float* d_gate, float* d_up) {
  silu_mul_backward_with(kernels().silu_mul_backward_f32, gate, up, dy, size, d_gate, d_up);
}

void silu_mul_backward(const BFloat16* gate, const BFloat16* up, const BFloat16* dy, int64_t size,
                       BFloat16* d_gate, BFloat16* d_up) {
  silu_mul_backward_with(kernels().silu_mul_backward_bf16, gate, up, dy, size, d_gate, d_up);
}

void quick_gelu(const float* x, int64_t size, float* out) {
  map_with(kernels().quick_gelu_f32, x, size, out);
}

void quick_gelu(const BFloat16* x, int64_t size, BFloat16* out) {
  map_with(kernels().quick_gelu_bf16, x, size, out);
}

void gelu_erf(const float* x, int64_t size, float* out) {
  map_with(kernels().gelu_erf_f32, x, size, out);
}

void gelu_erf(const BFloat16* x, int64_t size, BFloat16* out) {
  map_with(kernels().gelu_erf_bf16, x, size, out);
}

void convert(const float* x, int64_t size, BFloat16* out) {
  map_with(kernels().convert_to_bf16, x, size, out);
}

void convert(const BFloat16* x, int64_t size, float* out) {
  map_with(kernels().convert_to_f32, x, size, out);
}

void drop(const float* x, const uint64_t* row_keys, uint32_t threshold, float keep,
          int64_t num_rows, int64_t size, float* out) {
  drop_with(kernels().drop_f32, x, row_keys, threshold, keep, num_rows, size, out);
}

void drop(const BFloat16* x, const uint64_t* row_keys, uint32_t threshold, float keep,
          int64_t num_rows, int64_t size, BFloat16* out) {
  drop_with(kernels().drop_bf16, x, row_keys, threshold, keep, num_rows, size, out);
}

void add_in_place(float* x, const float* y, int64_t size) {
  for_each_range(size, 1, 64, [&](int64_t begin, int64_t end) {
    kernels().add_in_place(x + begin, y + begin, end - begin);
  });
}

}  // namespace e5v::detail
