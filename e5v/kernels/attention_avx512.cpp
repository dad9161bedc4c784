#include "e5v/kernels/attention_float32.h"
// After the Products that it multiplies with.
#include "e5v/kernels/attention_vector.h"

namespace e5v::detail {

const AttentionKernels kAvx512Attention = kVectorAttention;

}  // namespace e5v::detail
