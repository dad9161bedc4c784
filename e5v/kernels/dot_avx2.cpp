#include "e5v/kernels/dot_vector.h"

namespace e5v::detail {

const DotKernels kAvx2Dot = {dot_each_row<float>, dot_each_row<int8_t>};

}  // namespace e5v::detail
