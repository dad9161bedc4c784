#include "e5v/kernels/quantize_vector.h"

namespace e5v::detail {

const QuantizeKernels kAvx512Quantize = E5V_QUANTIZE_KERNELS;

}  // namespace e5v::detail
