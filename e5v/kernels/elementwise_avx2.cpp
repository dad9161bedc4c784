#include "e5v/kernels/elementwise_vector.h"

namespace e5v::detail {

const ElementwiseKernels kAvx2Elementwise = E5V_ELEMENTWISE_KERNELS;

}  // namespace e5v::detail
